use serde_json::{Value, json};

use crate::harness::{Server, start};

/// A handful of documents in two indices: one with a full-text index, and one without (its name has a dot).
async fn library(index: &str) -> Server {
    let server = start().await;
    let mapping = json!({"mappings": {"properties": {"code": {"type": "keyword"}, "title": {"type": "text", "fields": {"keyword": {"type": "keyword"}}}}}});
    server.ok("PUT", &format!("/{index}"), mapping).await;
    let documents = [
        (
            "1",
            json!({"title": "The quick brown fox", "year": 1999, "price": 1.5, "published": "1999-05-01", "tags": ["a", "b"], "code": "X-1", "good": true}),
        ),
        (
            "2",
            json!({"title": "A quick guide to Rust", "year": 2020, "price": 20.0, "published": "2020-01-02T03:04:05Z", "tags": ["b"], "code": "X-2", "good": false}),
        ),
        (
            "3",
            json!({"title": "Slow food", "year": 2005, "author": {"name": "Anna Example", "mail": "anna@example.test"}, "code": "Y-1"}),
        ),
        (
            "4",
            json!({"title": "Quick quick quick", "body": "a fox that is brown", "year": 2010, "tags": [], "code": "y-2"}),
        ),
        (
            "5",
            json!({"year": -3, "title": null, "text": "x".repeat(300)}),
        ),
    ];
    let lines: Vec<Value> = documents
        .into_iter()
        .flat_map(|(id, document)| [json!({"index": {"_id": id}}), document])
        .collect();
    assert_eq!(
        server.bulk(&format!("/{index}/_bulk"), &lines).await["errors"],
        false
    );
    server
}

async fn check_queries(index: &str) {
    let server = library(index).await;
    let long = "x".repeat(300);
    for (query, expected) in [
        (json!({"match_all": {}}), vec!["1", "2", "3", "4", "5"]),
        (json!({"match_none": {}}), vec![]),
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
        (
            json!({"match": {"title": {"query": "quick brown fox rust", "minimum_should_match": "75%"}}}),
            vec!["1"],
        ),
        (
            json!({"match": {"title": {"query": "quick brown rust", "minimum_should_match": -1}}}),
            vec!["1", "2"],
        ),
        (json!({"match": {"title": "!!"}}), vec![]),
        (json!({"match": {"year": 2020}}), vec!["2"]),
        (json!({"match": {"absent": "x"}}), vec![]),
        (json!({"match_phrase": {"title": "quick brown"}}), vec!["1"]),
        (json!({"match_phrase": {"title": "brown quick"}}), vec![]),
        (
            json!({"match_phrase_prefix": {"title": "a quick gui"}}),
            vec!["2"],
        ),
        (
            json!({"multi_match": {"query": "brown", "fields": ["title^3", "body"]}}),
            vec!["1", "4"],
        ),
        (
            json!({"multi_match": {"query": "brown anna"}}),
            vec!["1", "3", "4"],
        ),
        (
            json!({"multi_match": {"query": "quick brown", "type": "cross_fields", "operator": "and", "fields": ["title", "bo*"]}}),
            vec!["1", "4"],
        ),
        (
            json!({"multi_match": {"query": "quick brown", "type": "phrase", "fields": ["title"]}}),
            vec!["1"],
        ),
        (
            json!({"multi_match": {"query": "rust", "type": "most_fields"}}),
            vec!["2"],
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
        (
            json!({"terms": {"year": [2005, -3], "boost": 2.0}}),
            vec!["3", "5"],
        ),
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
        (json!({"range": {"published": {"lte": "2000"}}}), vec!["1"]),
        (
            json!({"range": {"published": {"gt": "2020-01-02T04:04:04+01:00", "lt": "now"}}}),
            vec!["2"],
        ),
        (json!({"range": {"published": {"gt": "now-1d"}}}), vec![]),
        (
            json!({"range": {"code": {"gte": "X-2", "lt": "Z"}}}),
            vec!["2", "3"],
        ),
        (json!({"exists": {"field": "tags"}}), vec!["1", "2"]),
        (json!({"exists": {"field": "author"}}), vec!["3"]),
        (
            json!({"exists": {"field": "title"}}),
            vec!["1", "2", "3", "4"],
        ),
        (json!({"exists": {"field": "absent"}}), vec![]),
        (json!({"ids": {"values": ["2", "4", "6"]}}), vec!["2", "4"]),
        (json!({"prefix": {"title": "qui"}}), vec!["1", "2", "4"]),
        (json!({"prefix": {"code": {"value": "y"}}}), vec!["4"]),
        (
            json!({"prefix": {"code": {"value": "y", "case_insensitive": true}}}),
            vec!["3", "4"],
        ),
        (
            json!({"wildcard": {"code": {"value": "*-1"}}}),
            vec!["1", "3"],
        ),
        (json!({"wildcard": {"code": "X-*"}}), vec!["1", "2"]),
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
            json!({"constant_score": {"filter": {"term": {"title": "fox"}}}}),
            vec!["1"],
        ),
        (
            json!({"dis_max": {"queries": [{"term": {"title": "fox"}}, {"term": {"title": "rust"}}]}}),
            vec!["1", "2"],
        ),
        (
            json!({"query_string": {"query": "quick AND NOT fox"}}),
            vec!["2"],
        ),
        (
            json!({"query_string": {"query": "title:(ignored) OR title:food"}}),
            vec!["3"],
        ),
        (
            json!({"query_string": {"query": "(fox OR food) AND quick", "default_field": "title"}}),
            vec!["1"],
        ),
        (
            json!({"query_string": {"query": "\"slow food\" title:rust"}}),
            vec!["2", "3"],
        ),
        (
            json!({"query_string": {"query": "author.name:anna"}}),
            vec!["3"],
        ),
        (
            json!({"query_string": {"query": "year:2020 code:Y*"}}),
            vec!["2", "3"],
        ),
        (
            json!({"query_string": {"query": "*"}}),
            vec!["1", "2", "3", "4", "5"],
        ),
        (json!({"query_string": {"query": "tags:*"}}), vec!["1", "2"]),
        (
            json!({"simple_query_string": {"query": "quick -fox", "default_operator": "and"}}),
            vec!["2"],
        ),
        (
            json!({"simple_query_string": {"query": "qui* +brown", "fields": ["title"]}}),
            vec!["1"],
        ),
        (
            json!({"simple_query_string": {"query": "\"quick guide\" | food"}}),
            vec!["2", "3"],
        ),
        (
            json!({"simple_query_string": {"query": "((((( \" + - | "}}),
            vec![],
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
async fn every_query_finds_the_same_without_a_full_text_index() {
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
    assert_eq!(
        server
            .found("m", json!({"match_phrase": {"text": "京タ"}}))
            .await,
        ["ja"]
    );
}

#[tokio::test]
async fn the_best_hit_comes_first() {
    let server = library("library").await;
    assert_eq!(
        server
            .ids("library", json!({"query": {"match": {"title": "quick"}}}))
            .await[0],
        "4"
    );
    let boosted = json!({"query": {"bool": {"should": [{"term": {"code": {"value": "X-2", "boost": 50}}}, {"match": {"title": "quick"}}]}}});
    assert_eq!(server.ids("library", boosted).await[0], "2");
    let answer = server
        .ok(
            "POST",
            "/library/_search",
            json!({"query": {"match": {"title": "quick"}}}),
        )
        .await;
    let hits = answer["hits"]["hits"].as_array().unwrap();
    assert_eq!(answer["hits"]["max_score"], hits[0]["_score"]);
    assert!(hits[0]["_score"].as_f64() > hits[2]["_score"].as_f64());
    assert_eq!(
        answer["hits"]["total"],
        json!({"value": 3, "relation": "eq"})
    );
    assert_eq!(
        (&answer["timed_out"], &answer["_shards"]["failed"]),
        (&json!(false), &json!(0))
    );
    let score = hits[0]["_score"].as_f64().unwrap();
    let better = json!({"query": {"match": {"title": "quick"}}, "min_score": score});
    assert_eq!(server.ids("library", better).await, ["4"]);
}

#[tokio::test]
async fn hits_are_sorted_as_asked() {
    let server = library("library").await;
    for (sort, expected) in [
        (json!("year"), vec!["5", "1", "3", "4", "2"]),
        (json!([{"year": "desc"}]), vec!["2", "4", "3", "1", "5"]),
        (
            json!([{"price": {"order": "desc"}}, "year"]),
            vec!["2", "1", "5", "3", "4"],
        ),
        (
            json!([{"price": {"order": "asc", "missing": "_first"}}, {"year": "desc"}]),
            vec!["4", "3", "5", "1", "2"],
        ),
        (
            json!([{"published": {"order": "desc"}}, "_doc"]),
            vec!["2", "1", "3", "4", "5"],
        ),
        (json!(["title.keyword"]), vec!["2", "4", "3", "1", "5"]),
        (
            json!([{"tags.keyword": "desc"}, {"year": "desc"}]),
            vec!["2", "1", "4", "3", "5"],
        ),
        (
            json!([{"good": "asc"}, {"year": "asc"}]),
            vec!["2", "1", "5", "3", "4"],
        ),
        (
            json!([{"absent": {"order": "asc", "unmapped_type": "long"}}, {"_doc": "desc"}]),
            vec!["5", "4", "3", "2", "1"],
        ),
    ] {
        assert_eq!(
            server.ids("library", json!({"sort": sort})).await,
            expected,
            "{sort}"
        );
    }
    let answer = server
        .ok(
            "POST",
            "/library/_search",
            json!({"sort": [{"published": "asc"}], "size": 1}),
        )
        .await;
    assert_eq!(
        answer["hits"]["hits"][0]["sort"],
        json!([925_516_800_000_i64])
    );
    assert_eq!(answer["hits"]["hits"][0]["_score"], Value::Null);
    assert_eq!(
        server
            .refused(400, "POST", "/library/_search", json!({"sort": "absent"}))
            .await
            .0,
        "query_shard_exception"
    );
    server
        .refused(400, "POST", "/library/_search", json!({"sort": "title"}))
        .await;
    server
        .refused(
            400,
            "POST",
            "/library/_search",
            json!({"sort": [{"year": "sideways"}]}),
        )
        .await;
    server
        .refused(
            501,
            "POST",
            "/library/_search",
            json!({"sort": [{"year": {"mode": "avg"}}]}),
        )
        .await;
}

#[tokio::test]
async fn pages_of_a_sorted_list_follow_each_other() {
    let server = library("library").await;
    assert_eq!(
        server
            .ids("library", json!({"sort": "year", "from": 1, "size": 2}))
            .await,
        ["1", "3"]
    );
    assert_eq!(
        server
            .ids(
                "library",
                json!({"sort": "year", "size": 2, "search_after": [1999]})
            )
            .await,
        ["3", "4"]
    );
    assert_eq!(
        server
            .ids(
                "library",
                json!({"sort": [{"published": "asc"}], "search_after": ["1999-05-01"]})
            )
            .await,
        ["2", "3", "4", "5"]
    );
    let answer = server.ok("GET", "/library/_search?q=quick&size=1&from=1&sort=year:desc&_source=title&track_total_hits=true", Value::Null).await;
    assert_eq!(
        (
            &answer["hits"]["hits"][0]["_id"],
            &answer["hits"]["total"]["value"]
        ),
        (&json!("4"), &json!(3))
    );
    assert_eq!(
        answer["hits"]["hits"][0]["_source"],
        json!({"title": "Quick quick quick"})
    );
    let (_, reason) = server
        .refused(
            400,
            "POST",
            "/library/_search",
            json!({"from": 9999, "size": 2}),
        )
        .await;
    assert!(reason.contains("Result window is too large"), "{reason}");
    for body in [
        json!({"size": -1}),
        json!({"from": -5}),
        json!({"size": 1e9}),
        json!({"size": "ten"}),
        json!({"size": 18_446_744_073_709_551_615_u64}),
        json!({"sort": "year", "search_after": [1, 2]}),
        json!({"sort": "year", "from": 1, "search_after": [1]}),
        json!({"search_after": [1]}),
    ] {
        server.refused(400, "POST", "/library/_search", body).await;
    }
}

#[tokio::test]
async fn totals_are_counted_as_far_as_asked() {
    let server = library("library").await;
    for (track, expected) in [
        (json!(true), json!({"value": 3, "relation": "eq"})),
        (json!(2), json!({"value": 2, "relation": "gte"})),
        (json!(3), json!({"value": 3, "relation": "eq"})),
        (json!(false), Value::Null),
    ] {
        for size in [0, 1] {
            let body = json!({"query": {"match": {"title": "quick"}}, "track_total_hits": track, "size": size});
            let answer = server.ok("POST", "/library/_search", body).await;
            assert_eq!(answer["hits"]["total"], expected, "{track}");
            assert_eq!(answer["hits"]["hits"].as_array().unwrap().len(), size);
        }
    }
}

#[tokio::test]
async fn hits_show_what_is_asked_for() {
    let server = library("library").await;
    let body = json!({"query": {"ids": {"values": ["3"]}}, "_source": ["author.*", "year"], "seq_no_primary_term": true, "version": true});
    let hit = server.ok("POST", "/library/_search", body).await["hits"]["hits"][0].clone();
    assert_eq!(
        hit["_source"],
        json!({"year": 2005, "author": {"name": "Anna Example", "mail": "anna@example.test"}})
    );
    assert_eq!(
        (
            &hit["_seq_no"],
            &hit["_primary_term"],
            &hit["_version"],
            &hit["_index"]
        ),
        (&json!(2), &json!(1), &json!(1), &json!("library"))
    );
    let body = json!({"query": {"ids": {"values": ["3"]}}, "_source": {"excludes": ["author.mail", "t*"]}});
    let hit = server.ok("POST", "/library/_search", body).await["hits"]["hits"][0].clone();
    assert_eq!(
        hit["_source"],
        json!({"year": 2005, "author": {"name": "Anna Example"}, "code": "Y-1"})
    );
    assert!(hit.get("_seq_no").is_none());
    let hit = server
        .ok(
            "POST",
            "/library/_search",
            json!({"_source": false, "size": 1}),
        )
        .await["hits"]["hits"][0]
        .clone();
    assert!(hit.get("_source").is_none());
}

#[tokio::test]
async fn the_words_that_were_found_are_marked() {
    let server = start().await;
    let filler = "filler ".repeat(60);
    server.ok("PUT", "/m/_doc/1", json!({"title": "A <b>fox</b> & co", "body": format!("{filler}the fox runs {filler} a FOX sleeps in 東京 {filler}")})).await;
    let body = json!({
        "query": {"multi_match": {"query": "fox 京", "fields": ["title", "body"]}},
        "highlight": {"fields": {"title": {"number_of_fragments": 0, "pre_tags": ["["], "post_tags": ["]"]}, "bo*": {"fragment_size": 60}}},
    });
    let highlight =
        server.ok("POST", "/m/_search", body).await["hits"]["hits"][0]["highlight"].clone();
    assert_eq!(highlight["title"], json!(["A <b>[fox]</b> & co"]));
    let fragments = highlight["body"].as_array().unwrap();
    assert_eq!(fragments.len(), 2);
    assert!(
        fragments[0]
            .as_str()
            .unwrap()
            .contains("the <em>fox</em> runs"),
        "{fragments:?}"
    );
    assert!(
        fragments[1]
            .as_str()
            .unwrap()
            .contains("a <em>FOX</em> sleeps in 東<em>京</em>"),
        "{fragments:?}"
    );
    assert!(
        fragments
            .iter()
            .all(|fragment| fragment.as_str().unwrap().len() < 130)
    );
    let escaped = json!({"query": {"match": {"title": "fox"}}, "highlight": {"encoder": "html", "fields": [{"title": {}}, {"body": {}}]}});
    let highlight =
        server.ok("POST", "/m/_search", escaped).await["hits"]["hits"][0]["highlight"].clone();
    assert_eq!(
        highlight,
        json!({"title": ["A &lt;b&gt;<em>fox</em>&lt;/b&gt; &amp; co"]})
    );
    let prefix = json!({"query": {"simple_query_string": {"query": "sle*"}}, "highlight": {"fields": {"*": {}}}});
    let highlight =
        server.ok("POST", "/m/_search", prefix).await["hits"]["hits"][0]["highlight"].clone();
    assert!(
        highlight["body"][0]
            .as_str()
            .unwrap()
            .contains("<em>sleeps</em>")
    );
}

#[tokio::test]
async fn a_search_sees_every_acknowledged_write() {
    let server = start().await;
    for round in 0..20 {
        server
            .ok("PUT", "/m/_doc/1", json!({"text": format!("round{round}")}))
            .await;
        assert_eq!(
            server
                .found("m", json!({"match": {"text": format!("round{round}")}}))
                .await,
            ["1"]
        );
        assert!(
            server
                .found(
                    "m",
                    json!({"match": {"text": format!("round{}", round - 1)}})
                )
                .await
                .is_empty()
        );
    }
    server.ok("DELETE", "/m/_doc/1", Value::Null).await;
    assert!(
        server
            .found("m", json!({"prefix": {"text": "round"}}))
            .await
            .is_empty()
    );
    server
        .ok("PUT", "/m/_doc/1", json!({"text": "round again"}))
        .await;
    assert_eq!(
        server.found("m", json!({"match": {"text": "again"}})).await,
        ["1"]
    );
}

#[tokio::test]
async fn a_query_deletes_what_it_finds() {
    let server = library("library").await;
    let answer = server
        .ok(
            "POST",
            "/library/_delete_by_query?refresh=true",
            json!({"query": {"match": {"title": "quick"}}}),
        )
        .await;
    assert_eq!(
        (
            &answer["deleted"],
            &answer["total"],
            &answer["version_conflicts"],
            &answer["failures"]
        ),
        (&json!(3), &json!(3), &json!(0), &json!([]))
    );
    assert_eq!(
        server.found("library", json!({"match_all": {}})).await,
        ["3", "5"]
    );
    server
        .refused(400, "POST", "/library/_delete_by_query", Value::Null)
        .await;
    server
        .refused(
            404,
            "POST",
            "/absent/_delete_by_query",
            json!({"query": {"match_all": {}}}),
        )
        .await;
    server
        .ok(
            "POST",
            "/library/_delete_by_query",
            json!({"query": {"match_all": {}}}),
        )
        .await;
    assert_eq!(
        server.ok("GET", "/library/_count", Value::Null).await["count"],
        0
    );
}

#[tokio::test]
async fn several_indices_are_searched_together() {
    let server = start().await;
    server
        .ok("PUT", "/a/_doc/1", json!({"n": 2, "t": "word"}))
        .await;
    server
        .ok("PUT", "/b/_doc/1", json!({"n": 1, "t": "word"}))
        .await;
    let answer = server
        .ok(
            "POST",
            "/a,b/_search",
            json!({"query": {"match": {"t": "word"}}, "sort": "n"}),
        )
        .await;
    let hits = answer["hits"]["hits"].as_array().unwrap();
    assert_eq!(
        (&hits[0]["_index"], &hits[1]["_index"]),
        (&json!("b"), &json!("a"))
    );
    assert_eq!(answer["_shards"]["total"], 2);
    assert_eq!(
        server
            .ok(
                "POST",
                "/_search",
                json!({"query": {"term": {"_index": "b"}}})
            )
            .await["hits"]["total"]["value"],
        1
    );
    server
        .refused(404, "POST", "/a,absent/_search", json!({}))
        .await;
}
