//! Asked over a real socket, as a supervisor would.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tributary_admin::{Admin, AdminError, Metrics, Probes, Report};

const KEY: &str = "service.health_address";

fn free() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

#[derive(Default)]
struct Patient {
    live: Mutex<Report>,
    ready: Mutex<Report>,
}

impl Probes for Patient {
    fn live(&self) -> Report {
        self.live.lock().unwrap().clone()
    }

    fn ready(&self) -> Report {
        self.ready.lock().unwrap().clone()
    }
}

struct Running {
    address: SocketAddr,
    patient: Arc<Patient>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), AdminError>>,
}

async fn start(metrics: Metrics) -> Running {
    let admin = Admin::bind(free(), KEY).await.unwrap();
    let address = admin.address();
    let patient = Arc::new(Patient::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(admin.serve(metrics, Arc::clone(&patient) as Arc<dyn Probes>, ended));
    Running {
        address,
        patient,
        stop,
        task,
    }
}

fn no_metrics() -> Metrics {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    Metrics::from_handle(recorder.handle())
}

/// Status, headers and body of a GET.
async fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn healthy_and_ready_until_something_is_wrong() {
    let running = start(no_metrics()).await;
    let (status, head, body) = get(running.address, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (200, r#"{"status":"ok","reasons":[]}"#)
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");

    let why = "Elasticsearch at http://es:9200 does not answer";
    *running.patient.ready.lock().unwrap() = Report::because(why);
    let (status, _, body) = get(running.address, "/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503);
    assert_eq!(
        body,
        serde_json::json!({"status": "failing", "reasons": [why]})
    );

    // Not ready is not dead: the two probes are answered apart.
    assert_eq!(get(running.address, "/healthz").await.0, 200);
    *running.patient.live.lock().unwrap() = Report::because("the schedule loop stands still");
    let (status, _, body) = get(running.address, "/healthz").await;
    assert_eq!(status, 503);
    assert!(body.contains("the schedule loop stands still"), "{body}");
}

#[tokio::test]
async fn metrics_come_as_prometheus_text() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = Metrics::from_handle(recorder.handle());
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("things_total", "kind" => "odd").increment(3);
        metrics::gauge!("level").set(7.0);
    });
    let running = start(metrics).await;
    let (status, head, body) = get(running.address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.contains("things_total{kind=\"odd\"} 3\n"), "{body}");
    assert!(body.contains("# TYPE level gauge\nlevel 7\n"), "{body}");
}

#[tokio::test]
async fn other_paths_say_what_there_is() {
    let running = start(no_metrics()).await;
    let (status, _, body) = get(running.address, "/").await;
    assert_eq!(status, 404);
    assert!(body.contains("/metrics, /healthz and /readyz"), "{body}");
}

#[tokio::test]
async fn a_port_in_use_names_the_key_to_change() {
    let first = Admin::bind(free(), KEY).await.unwrap();
    let error = Admin::bind(first.address(), KEY).await.unwrap_err();
    assert!(matches!(error, AdminError::InUse { .. }));
    let text = error.to_string();
    assert!(
        text.contains(KEY) && text.contains(&first.address().to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_with_the_key() {
    // A documentation address (RFC 5737): never one of this machine.
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 8585));
    let error = Admin::bind(elsewhere, KEY).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused { .. }));
    assert!(error.to_string().contains(KEY), "{error}");
}

#[tokio::test]
async fn ends_when_it_is_told_to_and_frees_the_port() {
    let running = start(no_metrics()).await;
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    Admin::bind(running.address, KEY).await.unwrap();
}

#[tokio::test]
async fn metrics_are_installed_once_per_process() {
    let metrics = Metrics::install().unwrap();
    metrics::counter!("installed_total").increment(1);
    assert!(metrics.render().contains("installed_total 1\n"));
    assert!(Metrics::install().is_err());
}
