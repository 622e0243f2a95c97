# What scripts/demo shows of the waiting room. Needs demo.sh.
# shellcheck shell=bash

make_room_pages() {
    mkdir -p "$work/html/room"
    printf 'the page of those who are in\n' > "$work/html/room/tour"
    cat > "$work/html/room/index.html" << 'END'
<!doctype html>
<meta charset="utf-8">
<title>The site</title>
<h1>You are in</h1>
<p>This seat is yours for 30 seconds. Reload this page after that, while somebody else waits.</p>
END
}

# One seat each: for the tour, and to try in a browser.
write_rooms() {
    cat << 'END'

    smart_limit_room tour 1m max_active=1 session=10s refresh=1s:2s absent=1m;
    smart_limit_room browser 1m max_active=1 session=30s refresh=1s:5s;

    log_format rooms '$request_method $request_uri $status limit=$smart_limit_status '
                     'room=$smart_limit_room position=$smart_limit_position '
                     'waiting=$smart_limit_waiting session=$smart_limit_session';
END
}

write_room_locations() {
    cat << 'END'
        location /room/ {
            access_log rooms.log rooms;
            smart_limit room=browser;

            location = /room/tour {
                smart_limit room=tour;
                add_header X-Smart-Limit-Status $smart_limit_status always;
                add_header X-Smart-Limit-Position $smart_limit_position always;
            }
        }
END
}

# Asks as somebody who has a cookie jar of his own; further arguments are curl's.
visit() {
    local name=$1 jar=$work/$1.cookies
    shift
    touch "$jar"
    ask -b "$jar" -c "$jar" "$@" /room/tour
}

# Who asks is told that he waits at this place.
gives_place() {
    gives 'HTTP/1.1 503 Service Temporarily Unavailable' 'X-Smart-Limit-Status: WAITING' \
        "X-Smart-Limit-Position: $1"
}

gives_in_body() {
    if grep -qF -- "$1" "$work/body"; then
        met "The body says: $1"
    else
        missed "the body is \"$(head -c 300 -- "$work/body")\", without $1"
    fi
}

# Asks in JSON until the body says $2, as somebody whose place is not asked for in between.
ask_until_told() {
    local name=$1 text=$2 deadline=$((SECONDS + 20))
    until fetch -b "$work/$name.cookies" -H 'Accept: application/json' -o - \
        "http://127.0.0.1:$port/room/tour" | grep -qF -- "$text" || [ "$SECONDS" -ge "$deadline" ]; do
        sleep 0.1
    done
}

show_how_one_gets_in() {
    step "A waiting room with one seat" \
        "Ann comes for the first time. She gets a cookie, and is asked to come back in a second." \
        "Of somebody who does not come back, nothing is kept."
    visit ann
    gives 'HTTP/1.1 503 Service Temporarily Unavailable' 'Retry-After: 1' 'Cache-Control: no-store'
    grep -q '^Set-Cookie: smart_limit_tour=' "$work/head" || missed "the answer sets no cookie"
    step "She comes back" "The seat is free, and hers for ten seconds."
    visit ann
    gives 'HTTP/1.1 200 OK' 'X-Smart-Limit-Status: ADMITTED'
    gives_text 'the page of those who are in'
}

show_the_queue() {
    local name place=0
    for name in bob cid dan; do
        place=$((place + 1))
        step "${name^} comes, and comes back" "There is no seat for him: he waits, at place $place."
        visit "$name" > "$work/first"
        visit "$name"
        gives_place "$place"
    done
    logs 'waiting in room "tour", position: 3'

    step "The same for a program" "It prefers JSON, and gets it."
    visit dan -H 'Accept: application/json'
    gives 'Content-Type: application/json'
    gives_in_body '"status":"waiting","position":3,"waiting":3,"active":1,"max_active":1'

    step "A picture for somebody who waits" \
        "A browser says what it is for. It cannot wait: it gets the status alone, and no cookie."
    ask -H 'Sec-Fetch-Dest: image' /room/tour
    gives 'HTTP/1.1 503 Service Temporarily Unavailable' 'Content-Length: 0'
    ! grep -q '^Set-Cookie' "$work/head" || missed "the answer sets a cookie"
}

show_whose_turn_it_is() {
    step "Ann's time is over" "The seat is free. Dan asks first, but he is the third."
    ask_until_told dan '"active":0'
    visit dan
    gives_place 3
    step "Bob asks, and is in" "Nobody has to be woken: who is first gets in when he asks."
    visit bob
    gives 'HTTP/1.1 200 OK' 'X-Smart-Limit-Status: ADMITTED'
    step "The others have moved up" "Cid is the first now …"
    visit cid
    gives_place 1
    step "… Dan the second …"
    visit dan
    gives_place 2
    step "… and Ann, who wants to come in again, is the last"
    visit ann
    gives_place 3
}

show_the_log_of_rooms() {
    step "The access log, by the variables of the room" "Its last lines:"
    tail -n 4 -- "$work/rooms.log" | sed 's/^/     /'
    grep -Eq '200 limit=ADMITTED room=tour .*session=[0-9a-f]{16}$' "$work/rooms.log" ||
        missed "the line of somebody who was admitted is not there"
}

show_room() {
    show_how_one_gets_in
    show_the_queue
    show_whose_turn_it_is
    show_the_log_of_rooms
}
