//! A measurement, run by hand in a release build:
//! `cargo test --release -p tributary-source-postgresql --test it measure -- --ignored --nocapture`.

use crate::support::{Configured, Followed, units};
use std::{fs, time::Instant};
use tributary_testkit::servers::{Postgres, PostgresOptions};

const ROWS: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and prints figures instead of judging"]
async fn measure() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let sql = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, c text, d timestamptz, e numeric(12,2), f double precision, g boolean, h uuid, i date);
         INSERT INTO t SELECT i, i % 1000, md5(i::text), repeat(md5(i::text), 5), now() - i * interval '1 second',
             i / 100.0, i * 1.1, i % 2 = 0, md5(i::text)::uuid, '2000-01-01'::date + i % 9000
         FROM generate_series(1, {ROWS}) AS i; VACUUM ANALYZE t"
    );
    for statement in sql.split("; ") {
        server.psql(statement).await.unwrap();
    }
    let mut report = String::new();
    for connections in [4, 1] {
        for round in 0..3 {
            let configured = Configured::new(&server, "public").option("connections", connections);
            let session = configured.open().await;
            let unit = units(&*session).await.remove(0);
            let (start, cpu) = (Instant::now(), cpu_ticks());
            let (count, bytes) = Followed::with_room(&session, &unit, None, 1024)
                .count()
                .await;
            assert_eq!(count, ROWS);
            let micros_per_row = (cpu_ticks() - cpu) as f64 * 10_000.0 / ROWS as f64;
            report.push_str(&format!(
                "{connections} connections, round {round}: {:.2} s, {micros_per_row:.2} µs of CPU per row, {} bytes per document\n",
                start.elapsed().as_secs_f64(),
                bytes / count,
            ));
        }
    }
    let start = Instant::now();
    server.psql("COPY t TO '/dev/null'").await.unwrap();
    report.push_str(&format!(
        "COPY t TO '/dev/null': {:.2} s\n",
        start.elapsed().as_secs_f64()
    ));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    report.extend(status.lines().filter(|line| line.starts_with("VmHWM")));
    #[allow(clippy::print_stdout)]
    {
        println!("{report}");
    }
}

/// User and system time of this process in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}
