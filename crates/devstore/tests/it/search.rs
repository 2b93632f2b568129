use serde_json::{Value, json};

use crate::harness::{library, start};

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
    assert!(hits[0]["_score"].as_f64() > hits[2]["_score"].as_f64());
    assert_eq!(
        answer["hits"]["total"],
        json!({"value": 3, "relation": "eq"})
    );
    assert_eq!(
        (&answer["timed_out"], &answer["_shards"]["failed"]),
        (&json!(false), &json!(0))
    );
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
    assert_eq!(answer["hits"]["hits"][0]["sort"], json!(["1999-05-01"]));
    assert_eq!(answer["hits"]["hits"][0]["_score"], Value::Null);
    assert_eq!(
        server
            .refused(400, "POST", "/library/_search", json!({"sort": "absent"}))
            .await
            .0,
        "illegal_argument_exception"
    );
    server
        .refused(400, "POST", "/library/_search", json!({"sort": "title"}))
        .await;
    server
        .refused(
            501,
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
    let answer = server
        .ok(
            "GET",
            "/library/_search?q=quick&size=1&from=1&_source=title",
            json!({"sort": [{"year": "desc"}], "track_total_hits": true}),
        )
        .await;
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
    let body = json!({"query": {"ids": {"values": ["3"]}}, "_source": ["author.*", "year"], "seq_no_primary_term": true});
    let hit = server.ok("POST", "/library/_search", body).await["hits"]["hits"][0].clone();
    assert_eq!(
        hit["_source"],
        json!({"year": 2005, "author": {"name": "Anna Example", "mail": "anna@example.test"}})
    );
    assert_eq!(
        (&hit["_seq_no"], &hit["_primary_term"], &hit["_index"]),
        (&json!(2), &json!(1), &json!("library"))
    );
    let body = json!({"query": {"ids": {"values": ["3"]}}, "_source": "t*"});
    let hit = server.ok("POST", "/library/_search", body).await["hits"]["hits"][0].clone();
    assert_eq!(hit["_source"], json!({"title": "Slow food"}));
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
        "highlight": {"fields": {"title": {}, "bo*": {}}},
    });
    let highlight =
        server.ok("POST", "/m/_search", body).await["hits"]["hits"][0]["highlight"].clone();
    assert_eq!(highlight["title"], json!(["A <b><em>fox</em></b> & co"]));
    let fragments = highlight["body"].as_array().unwrap();
    assert_eq!(fragments.len(), 1, "the best piece");
    let best = fragments[0].as_str().unwrap();
    assert!(
        best.contains("a <em>FOX</em> sleeps in 東<em>京</em>") && best.len() < 130,
        "{best}"
    );
    let listed = json!({"query": {"match": {"title": "fox"}}, "highlight": {"fields": [{"title": {}}, {"body": {}}]}});
    let highlight =
        server.ok("POST", "/m/_search", listed).await["hits"]["hits"][0]["highlight"].clone();
    assert_eq!(highlight, json!({"title": ["A <b><em>fox</em></b> & co"]}));
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
