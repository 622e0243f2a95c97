//! The status as Prometheus text, and the dashboard that reads it. (What Prometheus itself says to both is asked in
//! `nginx::api::formats`.)

use std::collections::{BTreeMap, HashSet};

use crate::dashboard::{dashboard, queries};
use crate::statuses::{counted, empty, full, hostile, HOSTILE_NAMES};
use ngx_http_smart_module::core::report::buffers::Location;
use ngx_http_smart_module::core::report::{prometheus, Status};

fn metrics(status: &Status) -> String {
    let mut out = Vec::new();
    prometheus::metrics(status, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The samples of a text: what stands before the number, and the number.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<_> = lines.map(|line| line.rsplit_once(' ').unwrap()).collect();
    let by_labels: BTreeMap<_, _> = samples.iter().copied().collect();
    assert_eq!(by_labels.len(), samples.len(), "two samples have the same labels");
    by_labels
}

/// The families of a text: names, and whether they are histograms.
fn families(text: &str) -> BTreeMap<&str, bool> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, kind)| (name, kind == "histogram"))
        .collect()
}

#[test]
fn numbers_are_exact() {
    let mut status = full(b"front");
    status.sendfile.as_mut().unwrap().outcomes[0].time = 1;
    let text = metrics(&status);
    let samples = samples(&text);
    for (sample, number) in [
        (r#"ngx_smart_info{version="0.1.0",nginx="nginx/1.28.3"}"#, "1"),
        ("ngx_smart_panics_total", "1"),
        ("ngx_smart_config_last_reload_timestamp_seconds", "1763790000"),
        (r#"ngx_smart_sendfile_lookups_total{outcome="miss_cached"}"#, "4"),
        (r#"ngx_smart_sendfile_lookup_seconds_total{outcome="hit"}"#, "0.000001"),
        (r#"ngx_smart_sendfile_lookup_seconds_total{outcome="found"}"#, "2.000002"),
        (r#"ngx_smart_sendfile_lookup_duration_seconds_bucket{le="0.0001"}"#, "2000"),
        (r#"ngx_smart_sendfile_lookup_duration_seconds_bucket{le="10.0"}"#, "3000"),
        (r#"ngx_smart_sendfile_lookup_duration_seconds_bucket{le="+Inf"}"#, "4000"),
        ("ngx_smart_sendfile_lookup_duration_seconds_count", "4000"),
        ("ngx_smart_sendfile_lookup_duration_seconds_sum", "11000.29"),
        (r#"ngx_smart_sendfile_server_reconnects_total{server="front"}"#, "5"),
        (r#"ngx_smart_sendfile_cache_evictions_total{zone="front"}"#, "3"),
        (
            r#"ngx_smart_limit_requests_total{zone="front",outcome="passed"}"#,
            "18446744073709551615",
        ),
        (r#"ngx_smart_limit_requests_total{zone="front",outcome="rejected_dry_run"}"#, "5"),
        (r#"ngx_smart_limit_evictions_total{zone="front",debt="true"}"#, "9"),
        (r#"ngx_smart_room_seats_max{room="front"}"#, "4"),
        (r#"ngx_smart_room_wait_seconds_bucket{room="front",le="2.0"}"#, "1000"),
        (r#"ngx_smart_room_wait_seconds_sum{room="front"}"#, "62000.0"),
        (
            r#"ngx_smart_buffers_upstream_responses_total{server="front",location="grpc front",protocol="grpc"}"#,
            "2000",
        ),
        (r#"ngx_smart_buffers_client_header_too_big_total{server="front"}"#, "3"),
        (r#"ngx_smart_buffers_advised{server="front",location="proxy front"}"#, "1"),
        (r#"ngx_smart_buffers_advised{server="front",location=""}"#, "1"),
        (r#"ngx_smart_buffers_advised{server="front unknown",location=""}"#, "0"),
    ] {
        assert_eq!(samples.get(sample), Some(&number), "{sample}");
    }
}

#[test]
fn histograms_are_cumulative() {
    let text = metrics(&full(b"front"));
    let samples = samples(&text);
    for (family, _) in families(&text).into_iter().filter(|(_, is_histogram)| *is_histogram) {
        let buckets = text.lines().filter(|line| line.starts_with(&format!("{family}_bucket")));
        let counts: Vec<u64> =
            buckets.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        assert!(counts.len() > 10 && counts.is_sorted(), "{family}: {counts:?}");
        let count = samples.iter().find(|(name, _)| name.starts_with(&format!("{family}_count")));
        assert_eq!(count.unwrap().1.parse(), Ok(*counts.last().unwrap()), "{family}");
    }
}

#[test]
fn a_server_itself_is_told_once_whatever_is_advised_of_it() {
    let mut status = full(b"front");
    let advised = |status: &Status| {
        let text = metrics(status);
        let sample = r#"ngx_smart_buffers_advised{server="front",location=""}"#;
        samples(&text).get(sample).map(|number| (*number).to_owned())
    };
    // Its headers, with and without requests that no location takes, and these alone.
    assert_eq!(advised(&status).as_deref(), Some("1"));
    let buffers = status.buffers.as_mut().unwrap();
    let untaken = buffers.locations.pop().unwrap();
    assert!(untaken.location.is_empty());
    assert_eq!(advised(&status).as_deref(), Some("1"));
    let buffers = status.buffers.as_mut().unwrap();
    let measured = buffers.locations[0].clone();
    buffers.servers[0].header = counted([300]);
    buffers.servers[0].header_too_big = 0;
    assert_eq!(advised(&status).as_deref(), Some("0"));
    let buffers = status.buffers.as_mut().unwrap();
    buffers.locations.push(Location { location: Vec::new(), ..measured });
    assert_eq!(advised(&status).as_deref(), Some("1"));
    status.buffers.as_mut().unwrap().servers.clear();
    assert_eq!(advised(&status).as_deref(), Some("1"));
}

#[test]
fn every_sample_is_of_the_family_before_it_and_none_is_empty() {
    let status = full(b"front");
    for text in [metrics(&status), metrics(&empty()), metrics(&hostile())] {
        for part in text.split("# HELP ").skip(1) {
            let mut lines = part.lines();
            let (name, help) = lines.next().unwrap().split_once(' ').unwrap();
            assert!(help.ends_with('.') && text.matches(&format!("# HELP {name} ")).count() == 1);
            assert!(lines.next().unwrap().starts_with(&format!("# TYPE {name} ")));
            let samples: Vec<_> = lines.collect();
            assert!(!samples.is_empty() && samples.iter().all(|line| line.starts_with(name)));
        }
    }
    let of_nothing: Vec<_> = metrics(&empty()).lines().map(str::to_owned).collect();
    assert_eq!(of_nothing.len(), 9, "{of_nothing:#?}");
}

#[test]
fn labels_say_what_the_names_are() {
    for name in HOSTILE_NAMES {
        let text = metrics(&full(name));
        assert_eq!(samples(&text)["ngx_smart_panics_total"], "1");
        let escaped = String::from_utf8_lossy(name)
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let sample = format!("ngx_smart_room_waiting{{room=\"{escaped}\"}} 1\n");
        assert!(text.contains(&sample), "{sample} is not in {text}");
    }
}

#[test]
fn the_dashboard_has_what_grafana_needs() {
    let dashboard = dashboard();
    assert!(dashboard["title"].is_string() && dashboard["uid"].as_str().unwrap().len() <= 40);
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|it| it["name"] == "datasource" && it["type"] == "datasource"));
    let mut ids = HashSet::new();
    let mut taken = HashSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, width, height] =
            ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().unwrap());
        assert!(width > 0 && height > 0 && x + width <= 24, "{panel}");
        for place in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(place), "another panel is where this is: {panel}");
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
        }
    }
}

#[test]
fn what_the_dashboard_asks_for_is_told() {
    let text = metrics(&full(b"front"));
    let families = families(&text);
    let mut asked = HashSet::new();
    for query in queries(&dashboard()) {
        let names = query.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        for name in names.filter(|name| name.starts_with("ngx_smart_")) {
            let parts = ["_bucket", "_sum", "_count"];
            let whole = parts.iter().find_map(|part| name.strip_suffix(part));
            let is_told = match whole.filter(|whole| families.get(whole) == Some(&true)) {
                Some(_) => true,
                None => families.get(name) == Some(&false),
            };
            assert!(is_told, "{name}, in {query}");
            asked.insert(whole.unwrap_or(name).to_owned());
        }
    }
    // Of what is told nothing is left out but the size that the configuration has given to a zone.
    let left_out: Vec<_> =
        families.keys().copied().filter(|family| !asked.contains(*family)).collect();
    assert_eq!(left_out, ["ngx_smart_sendfile_cache_size_bytes"]);
}

#[test]
fn the_documentation_tells_of_every_metric() {
    let documentation = include_str!("../../docs/status.md");
    for (name, _) in families(&metrics(&full(b"front"))) {
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}
