//! The dashboard for Grafana, and what it asks Prometheus.

use serde_json::Value;

/// The dashboard, as Grafana imports it.
pub fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../nginx-conf/grafana-dashboard.json")).unwrap()
}

/// Its queries, with values in place of Grafana's variables.
pub fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let queries = targets.chain(annotations).map(|query| query["expr"].as_str().unwrap());
    queries.map(|it| it.replace("$__rate_interval", "5m").replace("$instance", ".*")).collect()
}
