use serde_json::json;

use crate::harness::{library, start};

async fn check_queries(index: &str) {
    let server = library(index).await;
    let long = "x".repeat(300);
    for (query, expected) in [
        (json!({"match_all": {}}), vec!["1", "2", "3", "4", "5"]),
        (json!({"match": {"title": "QUICK"}}), vec!["1", "2", "4"]),
        (json!({"match": {"title": "fox food"}}), vec!["1", "3"]),
        (
            json!({"match": {"title": {"query": "quick fox", "operator": "and"}}}),
            vec!["1"],
        ),
        (
            json!({"match": {"title": {"query": "quick brown rust", "minimum_should_match": 2}}}),
            vec!["1", "2"],
        ),
        (json!({"match": {"title": "!!"}}), vec![]),
        (json!({"match": {"year": 2020}}), vec!["2"]),
        (json!({"match": {"absent": "x"}}), vec![]),
        (
            json!({"multi_match": {"query": "brown", "fields": ["title", "body"]}}),
            vec!["1", "4"],
        ),
        (
            json!({"multi_match": {"query": "brown anna"}}),
            vec!["1", "3", "4"],
        ),
        (json!({"term": {"title": "quick"}}), vec!["1", "2", "4"]),
        (json!({"term": {"title": "Quick"}}), vec![]),
        (json!({"term": {"title.keyword": "Slow food"}}), vec!["3"]),
        (
            json!({"term": {"title.enum": {"value": "Slow food", "boost": 2}}}),
            vec!["3"],
        ),
        (
            json!({"term": {"author.mail.keyword": "anna@example.test"}}),
            vec!["3"],
        ),
        (json!({"term": {"text.keyword": long}}), vec![]),
        (json!({"term": {"code": "X-1"}}), vec!["1"]),
        (json!({"term": {"code": "x-1"}}), vec![]),
        (json!({"term": {"year": "2020"}}), vec!["2"]),
        (json!({"term": {"good": true}}), vec!["1"]),
        (json!({"term": {"good": "false"}}), vec!["2"]),
        (
            json!({"term": {"published": "1999-05-01T00:00:00.000Z"}}),
            vec!["1"],
        ),
        (json!({"term": {"_id": "3"}}), vec!["3"]),
        (json!({"terms": {"tags.keyword": ["a", "z"]}}), vec!["1"]),
        (json!({"terms": {"tags.keyword": []}}), vec![]),
        (json!({"terms": {"_id": ["1", "5", "9"]}}), vec!["1", "5"]),
        (
            json!({"range": {"year": {"gte": 2005, "lt": 2020}}}),
            vec!["3", "4"],
        ),
        (json!({"range": {"year": {"lt": 0}}}), vec!["5"]),
        (json!({"range": {"price": {"gt": 1.5}}}), vec!["2"]),
        (
            json!({"range": {"price": {"gte": "1.5", "lte": null}}}),
            vec!["1", "2"],
        ),
        (
            json!({"range": {"published": {"lte": "2000-01-01"}}}),
            vec!["1"],
        ),
        (
            json!({"range": {"code": {"gte": "X-2", "lt": "Z"}}}),
            vec!["2", "3"],
        ),
        (json!({"exists": {"field": "tags"}}), vec!["1", "2"]),
        (
            json!({"exists": {"field": "title"}}),
            vec!["1", "2", "3", "4"],
        ),
        (json!({"exists": {"field": "absent"}}), vec![]),
        (json!({"ids": {"values": ["2", "4", "6"]}}), vec!["2", "4"]),
        (json!({"prefix": {"title": "qui"}}), vec!["1", "2", "4"]),
        (json!({"prefix": {"code": {"value": "y"}}}), vec!["4"]),
        (json!({"bool": {}}), vec!["1", "2", "3", "4", "5"]),
        (
            json!({"bool": {"must": {"match": {"title": "quick"}}, "must_not": [{"term": {"tags.keyword": "a"}}]}}),
            vec!["2", "4"],
        ),
        (
            json!({"bool": {"filter": [{"range": {"year": {"gt": 2000}}}], "should": [{"term": {"title": "fox"}}]}}),
            vec!["2", "3", "4"],
        ),
        (
            json!({"bool": {"should": [{"term": {"title": "fox"}}, {"term": {"title": "food"}}]}}),
            vec!["1", "3"],
        ),
        (
            json!({"bool": {"should": [{"exists": {"field": "tags"}}, {"term": {"year": 2020}}, {"match_all": {}}], "minimum_should_match": 3}}),
            vec!["2"],
        ),
        (
            json!({"bool": {"must_not": {"exists": {"field": "title"}}}}),
            vec!["5"],
        ),
        (
            json!({"bool": {"must_not": [{"range": {"year": {"lt": 2010}}}]}}),
            vec!["2", "4"],
        ),
        (
            json!({"bool": {"should": [{"bool": {"must_not": {"exists": {"field": "tags"}}}}, {"terms": {"tags.enum": ["a"]}}]}}),
            vec!["1", "3", "4", "5"],
        ),
        (
            json!({"simple_query_string": {"query": "quick -fox", "default_operator": "and"}}),
            vec!["2"],
        ),
        (
            json!({"simple_query_string": {"query": "\"quick guide\" | food"}}),
            vec!["2", "3"],
        ),
        (
            json!({"range": {"published": {"gt": "2020-01-02T04:04:04+01:00"}}}),
            vec!["2"],
        ),
        (
            json!({"simple_query_string": {"query": "((((( \" + - | "}}),
            vec![],
        ),
        (
            json!({"simple_query_string": {"query": "*"}}),
            vec!["1", "2", "3", "4", "5"],
        ),
    ] {
        assert_eq!(
            server.found(index, query.clone()).await,
            expected,
            "{query}"
        );
        let counted = server
            .ok("POST", &format!("/{index}/_count"), json!({"query": query}))
            .await;
        assert_eq!(counted["count"], expected.len(), "{query}");
    }
}

#[tokio::test]
async fn every_query_finds_what_it_should() {
    check_queries("library").await;
}

#[tokio::test]
async fn every_query_finds_the_same_in_a_hidden_index() {
    check_queries(".library").await;
}

#[tokio::test]
async fn words_of_many_languages_are_found() {
    let server = start().await;
    for (id, text) in [
        ("en", "The harbour at night, don't wait"),
        ("de", "Die Straße führt über die Brücke"),
        ("fr", "L'école est fermée aujourd'hui"),
        ("ru", "Скорый поезд прибывает"),
        ("el", "Καλημέρα κόσμε"),
        ("zh", "北京的天气很好"),
        ("ja", "東京タワーは高いです"),
        ("ko", "서울 날씨가 좋다"),
        ("ar", "مرحبا بالعالم"),
        ("he", "שלום עולם"),
        ("hi", "हिन्दी भाषा।"),
        ("th", "ภาษาไทยง่าย"),
        ("tr", "İSTANBUL ışık"),
        ("dots", "report_2024.pdf version 3.14"),
    ] {
        server
            .ok("PUT", &format!("/m/_doc/{id}"), json!({"text": text}))
            .await;
    }
    for (words, id) in [
        ("HARBOUR", "en"),
        ("straße", "de"),
        ("BRÜCKE", "de"),
        ("école", "fr"),
        ("ПОЕЗД", "ru"),
        ("κόσμε", "el"),
        ("天气", "zh"),
        ("北京", "zh"),
        ("東京", "ja"),
        ("タワー", "ja"),
        ("서울", "ko"),
        ("بالعالم", "ar"),
        ("עולם", "he"),
        ("हिन्दी", "hi"),
        ("ไทย", "th"),
        ("ışık", "tr"),
        ("pdf", "dots"),
        ("REPORT_2024", "dots"),
    ] {
        let query = json!({"match": {"text": {"query": words, "operator": "and"}}});
        assert_eq!(server.found("m", query).await, [id], "{words}");
    }
    assert!(
        server
            .found("m", json!({"match": {"text": "strasse brucke ecole"}}))
            .await
            .is_empty(),
        "accents are kept"
    );
}
