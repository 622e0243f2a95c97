const MINUTE = 60;

const room = ([name, room]) => {
  const samples = samplesOf("room", name);
  const bands = [
    { name: "waiting", colour: "amber", isLevel: true, pick: ({ waiting }) => waiting },
    { name: "in", colour: "blue", isLevel: true, pick: ({ active }) => active },
  ];
  const perMinute = (column) => {
    const { by, during } = growth(samples, (totals) => totals[column], LATELY);
    return during > 1 ? rate((by / during) * MINUTE) : UNKNOWN;
  };
  const flow = ["entered", "admitted", "absent", "refused"].map((column) => ({
    key: column, cells: [column, perMinute(column), count(room[column])],
  }));
  const other = ["expired", "passed", "waiting_dry_run", "full_dry_run"].filter((column) => room[column])
    .map((column) => ({ key: column, cells: [column.replaceAll("_", " "), UNKNOWN, count(room[column])] }));
  return make("article", { key: "room " + name },
    make("h3", null, name),
    make("div", { class: "beside" },
      chart({ id: "room " + name, title: "Seats and queue", unit: "visitors", bands, samples, format: count,
        current: [room.waiting, room.active] }),
      make("div", null,
        make("div", { class: "meters" },
          meter("Seats", room.active, room.max_active, { mayFill: true, note: room.provisional ? count(room.provisional) + " not come back yet" : null }),
          meter("Waiting", room.waiting, room.max_waiting)),
        figures(
          figure("Who comes now waits", time(room.estimated_wait_seconds)),
          figure("Waited p50", time(room.wait.p50_seconds)), figure("p90", time(room.wait.p90_seconds))),
        table("Visitors", ["Outcome", " Per minute", " Total"], [...flow, ...other]))));
};

const rooms = ({ rooms: all }) => {
  const list = Object.entries(all);
  return list.length > 0 && section("rooms", "Waiting rooms", make("div", { class: "cards" }, ...list.map(room)));
};
