use std::future::Future;

use futures_util::future::{join_all, poll_fn};
use tokio::task::yield_now;

use super::*;

pub(super) fn question(path: &str) -> Question {
    Question {
        agent: "codex".into(),
        user: "ada".into(),
        profile: "default".into(),
        run: "00ff".into(),
        command: "codex".into(),
        connection: Some("github/work".into()),
        method: "DELETE".into(),
        host: "api.test".into(),
        port: 443,
        path: path.into(),
        policy: Some("policy.toml:1".into()),
        reason: None,
    }
}

fn of_run(run: &str, path: &str) -> Question {
    Question { run: run.into(), ..question(path) }
}

const LIMIT: Duration = Duration::from_secs(120);

/// Begins to ask, and comes back when the question is there.
pub(super) async fn begin<'a>(
    asks: &'a Asks,
    question: Question,
) -> std::pin::Pin<Box<impl Future<Output = Answer> + use<'a>>> {
    let mut asking = Box::pin(asks.ask(question, LIMIT, |_| ()));
    let waits = poll_fn(|cx| std::task::Poll::Ready(asking.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "it does not wait");
    asking
}

fn id_of(asks: &Asks, path: &str) -> String {
    asks.pending().into_iter().find(|view| view.path == path).expect("it waits").id
}

fn give(asks: &Asks, path: &str, answer: Answer) -> AskView {
    asks.claim(&id_of(asks, path)).unwrap().give(answer).unwrap()
}

#[tokio::test]
async fn what_is_approved_passes_and_is_asked_about_again() {
    let asks = Asks::default();
    let asking = begin(&asks, question("/a")).await;
    give(&asks, "/a", Answer::Once);
    assert_eq!(asking.await, Answer::Once);
    let _again = begin(&asks, question("/a")).await;
}

#[tokio::test]
async fn what_is_denied_learns_why() {
    let asks = Asks::default();
    let asking = begin(&asks, question("/a")).await;
    give(&asks, "/a", Answer::Deny(Some("no".into())));
    assert_eq!(asking.await, Answer::Deny(Some("no".into())));
    assert!(asks.pending().is_empty());
}

#[tokio::test]
async fn nobody_answers_in_time() {
    let asks = Asks::default();
    let soon = Duration::from_millis(1);
    assert_eq!(asks.ask(question("/a"), soon, |_| ()).await, Answer::TimedOut);
    assert!(asks.pending().is_empty());
}

#[tokio::test]
async fn a_question_is_open_as_long_as_the_last_who_waits() {
    let asks = Asks::default();
    let _first = begin(&asks, question("/a")).await;
    let ten_minutes = Duration::from_secs(600);
    let mut longer = Box::pin(asks.ask(question("/a"), ten_minutes, |_| ()));
    let waits = poll_fn(|cx| std::task::Poll::Ready(longer.as_mut().poll(cx).is_pending())).await;
    assert!(waits);
    let left = asks.pending()[0].seconds_left;
    assert!((598..=600).contains(&left), "{left}");
}

#[tokio::test]
async fn an_agent_that_leaves_takes_its_question_along() {
    let asks = Asks::default();
    let asking = begin(&asks, question("/a")).await;
    let id = id_of(&asks, "/a");
    drop(asking);
    assert!(asks.pending().is_empty());
    assert_eq!(asks.claim(&id).unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn equal_requests_are_one_question_and_answered_together() {
    let asks = Asks::default();
    let mut asking = Vec::new();
    for _ in 0..5 {
        asking.push(begin(&asks, question("/a")).await);
    }
    drop(asking.pop());
    let pending = asks.pending();
    assert_eq!((pending.len(), pending[0].count), (1, 4));
    give(&asks, "/a", Answer::Once);
    assert!(join_all(asking).await.into_iter().all(|answer| answer == Answer::Once));
}

#[tokio::test]
async fn requests_that_differ_are_questions_of_their_own() {
    let asks = Asks::default();
    let other = |change: fn(&mut Question)| {
        let mut question = question("/a");
        change(&mut question);
        question
    };
    let questions = [
        question("/a"),
        other(|question| question.method = "GET".into()),
        other(|question| question.run = "ff00".into()),
        other(|question| question.agent = "claude".into()),
        other(|question| question.connection = None),
        other(|question| question.policy = None),
        other(|question| question.host = "uploads.test".into()),
        other(|question| question.port = 8443),
    ];
    let count = questions.len();
    let mut asking = Vec::new();
    for question in questions {
        asking.push(begin(&asks, question).await);
    }
    assert_eq!(asks.pending().len(), count);
}

#[tokio::test]
async fn what_is_allowed_for_a_run_is_not_asked_again_in_it() {
    let asks = Asks::default();
    let asking = begin(&asks, question("/a")).await;
    give(&asks, "/a", Answer::Run);
    assert_eq!(asking.await, Answer::Run);
    assert_eq!(asks.ask(question("/a"), LIMIT, |_| ()).await, Answer::Run);
    let _path = begin(&asks, question("/b")).await;
    let _method = begin(&asks, Question { method: "PUT".into(), ..question("/a") }).await;
    let _policy = begin(&asks, Question { policy: None, ..question("/a") }).await;
    let _run = begin(&asks, of_run("ff00", "/a")).await;
    assert_eq!(asks.pending().len(), 4);
}

#[tokio::test]
async fn a_run_that_ends_leaves_neither_questions_nor_permissions() {
    let asks = Asks::default();
    let asking = begin(&asks, question("/a")).await;
    give(&asks, "/a", Answer::Run);
    asking.await;
    let held = begin(&asks, question("/b")).await;
    let other = begin(&asks, of_run("ff00", "/b")).await;
    asks.run_ended("00ff");
    assert_eq!(held.await, Answer::Gone);
    assert_eq!(asks.pending().len(), 1);
    drop(other);
    let _asked_again = begin(&asks, question("/a")).await;
}

#[tokio::test]
async fn a_daemon_that_ends_refuses_what_waits_and_what_comes() {
    let asks = Asks::default();
    let held = begin(&asks, question("/a")).await;
    asks.close();
    assert_eq!(held.await, Answer::Gone);
    assert_eq!(asks.ask(question("/a"), LIMIT, |_| ()).await, Answer::Gone);
}

#[tokio::test]
async fn one_run_cannot_take_the_places_of_all() {
    let asks = Asks::default();
    let mut held = Vec::new();
    for number in 0..MAX_WAITING_OF_RUN {
        held.push(begin(&asks, question(&format!("/{number}"))).await);
    }
    assert_eq!(asks.ask(question("/more"), LIMIT, |_| ()).await, Answer::TooMany);
    // Equal ones take a place too.
    assert_eq!(asks.ask(question("/1"), LIMIT, |_| ()).await, Answer::TooMany);
    held.push(begin(&asks, of_run("ff00", "/1")).await);
    drop(held.remove(0));
    held.push(begin(&asks, question("/more")).await);
    for (run, path) in (held.len()..MAX_WAITING).map(|number| (number % 7, number)) {
        held.push(begin(&asks, of_run(&format!("run-{run}"), &format!("/{path}"))).await);
    }
    assert_eq!(asks.ask(of_run("late", "/x"), LIMIT, |_| ()).await, Answer::TooMany);
}

#[tokio::test]
async fn two_hundred_held_requests_hold_up_nobody() {
    let asks = Asks::default();
    let mut held = Vec::new();
    for number in 0..200 {
        held.push(begin(&asks, question(&format!("/{number}"))).await);
    }
    let asking = begin(&asks, of_run("ff00", "/other")).await;
    give(&asks, "/other", Answer::Once);
    assert_eq!(asking.await, Answer::Once);
    assert_eq!(asks.pending().len(), 200);
}

#[tokio::test]
async fn what_nobody_can_read_whole_is_not_asked() {
    let asks = Asks::default();
    let long = question(&format!("/{}", "a".repeat(1024)));
    assert_eq!(asks.ask(long, LIMIT, |_| ()).await, Answer::TooLong);
}

#[tokio::test]
async fn a_question_that_is_being_answered_is_nobody_elses_until_that_failed() {
    let asks = Asks::default();
    let _held = begin(&asks, question("/a")).await;
    let id = id_of(&asks, "/a");
    let claim = asks.claim(&id).unwrap();
    assert!(asks.claim(&id).is_err());
    drop(claim);
    asks.claim(&id).unwrap();
}

#[tokio::test]
async fn an_answer_that_comes_too_late_says_so() {
    let asks = Asks::default();
    let held = begin(&asks, question("/a")).await;
    let claim = asks.claim(&id_of(&asks, "/a")).unwrap();
    drop(held);
    assert_eq!(claim.give(Answer::Run).unwrap_err().kind, ErrorKind::NotFound);
    // Nor is it remembered.
    let _asked_again = begin(&asks, question("/a")).await;
}

#[tokio::test]
async fn whoever_looks_on_is_woken_by_what_comes_and_what_goes() {
    let asks = Asks::default();
    let none = asks.next(None, LIMIT).await;
    assert!(none.asks.is_empty());
    let (some, held) =
        tokio::join!(asks.next(Some(none.revision), LIMIT), begin(&asks, question("/a")));
    assert_eq!(some.asks.len(), 1);
    let (gone, ()) = tokio::join!(asks.next(Some(some.revision), LIMIT), async {
        yield_now().await;
        drop(held);
    });
    assert!(gone.asks.is_empty());
}

#[tokio::test]
async fn a_run_is_told_of_the_first_that_waits() {
    let asks = Asks::default();
    let told = std::cell::RefCell::new(Vec::new());
    let ask = |path: &'static str| {
        let told = &told;
        Box::pin(asks.ask(question(path), LIMIT, move |view| {
            told.borrow_mut().push(view.path.clone());
        }))
    };
    let (mut first, mut second) = (ask("/a"), ask("/b"));
    let wait = poll_fn(|cx| {
        let both = first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending();
        std::task::Poll::Ready(both)
    })
    .await;
    assert!(wait);
    assert_eq!(*told.borrow(), ["/a"]);
}

#[test]
fn an_id_can_be_typed() {
    let id = State::default().new_id().unwrap();
    assert_eq!(id.len(), ID_LENGTH);
    assert!(id.bytes().all(|letter| LETTERS.contains(&letter)));
}
