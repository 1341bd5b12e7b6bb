//! The tables: a policy each, and what comes of requests under it.

use super::table::holds;

#[tokio::test]
async fn a_rule_is_about_the_agent_it_names() {
    holds("agents").await;
}

#[tokio::test]
async fn a_rule_is_about_the_account_that_is_chosen_whichever_way() {
    holds("connections").await;
}

#[tokio::test]
async fn a_rule_is_about_methods_and_groups_of_them() {
    holds("methods").await;
}

#[tokio::test]
async fn a_rule_is_about_paths_and_parameters() {
    holds("paths").await;
}

#[tokio::test]
async fn a_rule_holds_at_its_times() {
    holds("times").await;
}

#[tokio::test]
async fn what_nothing_allows_is_denied_where_that_is_the_default() {
    holds("closed").await;
}

#[tokio::test]
async fn cedar_is_decided_by_as_it_is_written() {
    holds("cedar").await;
}

#[tokio::test]
async fn without_a_policy_everything_passes() {
    holds("none").await;
}

#[tokio::test]
async fn a_header_that_names_another_method_counts_as_that_method() {
    holds("overrides").await;
}

#[tokio::test]
async fn a_rule_is_about_connections_that_stay_encrypted() {
    holds("connect").await;
}
