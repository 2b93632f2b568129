//! Real servers behind a proxy that breaks things.

use crate::engines::{connection, engines, index};
use serde_json::json;
use std::time::Duration;
use tributary_elastic::{Client, ElasticRecords, ElasticTarget, Mode, RetrySettings};
use tributary_engine::{Target, TargetErrorKind};
use tributary_protocol::{
    JobType, TriggerMethod,
    connector::NewConnector,
    records::{ConnectorChange, JobChange, Records},
};
use tributary_testkit::{
    faults::{Fault, FaultProxy, Rule},
    servers::SearchEngine,
};

async fn broken(engine: &SearchEngine, index: &str) -> (FaultProxy, Client) {
    let proxy = FaultProxy::start(&engine.url()).await.unwrap();
    let mut connection = connection(engine, index).await;
    connection.host = proxy.url();
    connection.retry = RetrySettings {
        interval: Duration::from_millis(1),
        ..RetrySettings::default()
    };
    (proxy, Client::new(connection).unwrap())
}

#[tokio::test]
async fn a_bulk_request_without_its_answer_may_be_sent_again() {
    for engine in engines().await {
        let (proxy, client) = broken(engine, "faults-bulk").await;
        let target = ElasticTarget::new(client, "faults-bulk", None);
        target.prepare(false).await.unwrap();
        let operations: Vec<_> = (0..400)
            .map(|n| index(&n.to_string(), &json!({"t": "x".repeat(1000)})))
            .collect();
        for fault in [
            Fault::DropRequest,
            Fault::CutRequest { after: 100_000 },
            Fault::LoseAnswer,
            Fault::CutAnswer { after: 1000 },
            Fault::GarbleAnswer,
            Fault::status(503),
        ] {
            proxy.set_rules([Rule::new("bulk", fault.clone()).path_contains("_bulk")]);
            let error = target.bulk(&operations).await.unwrap_err();
            assert_eq!(
                error.kind,
                TargetErrorKind::Unavailable,
                "{fault:?}: {error}"
            );
        }
        proxy.clear_rules();
        let answers = target.bulk(&operations).await.unwrap();
        assert!(answers.iter().all(tributary_engine::Answer::is_done));
        assert_eq!(target.count().await.unwrap(), 400);

        // A listing that breaks off is an error, never the end of the list.
        for fault in [
            Fault::CutAnswer { after: 1000 },
            Fault::GarbleAnswer,
            Fault::LoseAnswer,
        ] {
            let rule = Rule::new("search", fault).path_contains("_search?filter_path");
            proxy.set_rules([rule]);
            let error = target.scan().await.err().unwrap();
            assert_eq!(error.kind, TargetErrorKind::Unavailable, "{error}");
        }
    }
}

#[tokio::test]
async fn records_are_changed_once_though_answers_get_lost() {
    for engine in engines().await {
        let (proxy, client) = broken(engine, "faults-records").await;
        let records = ElasticRecords::new(client, Mode::Direct);
        records.prepare().await.unwrap();
        let lose = |fault: Fault| {
            proxy.set_rules([Rule::new("write", fault)
                .when(|request| {
                    request.target.contains("_update") || request.target.contains("_create")
                })
                .times(1)]);
        };
        for (number, fault) in [Fault::LoseAnswer, Fault::CutAnswer { after: 3 }]
            .into_iter()
            .enumerate()
        {
            lose(fault.clone());
            let index = format!("faults-{}-{}", proxy.port(), number);
            let new = NewConnector {
                index_name: Some(&index),
                service_type: Some("dir"),
                ..NewConnector::default()
            };
            let id = records.create_connector(None, &new).await.unwrap();
            let connector = records.connector(&id).await.unwrap().unwrap();
            lose(fault.clone());
            let change = ConnectorChange::SyncStarted(JobType::Full);
            records
                .change_connector(&id, &change, Some(connector.seen))
                .await
                .unwrap();
            lose(fault.clone());
            let job = records
                .create_job(&connector, JobType::Full, TriggerMethod::OnDemand)
                .await
                .unwrap();
            lose(fault.clone());
            let claim = JobChange::Claim {
                worker_hostname: "host-1".to_owned(),
                sync_cursor: None,
                metadata: serde_json::Map::new(),
            };
            let seen = records.job(&job).await.unwrap().unwrap().seen;
            records.change_job(&job, &claim, Some(seen)).await.unwrap();
            let filter = tributary_protocol::records::JobFilter {
                connector_ids: vec![id],
                ..Default::default()
            };
            assert_eq!(records.jobs(&filter).await.unwrap().len(), 1);
        }
    }
}
