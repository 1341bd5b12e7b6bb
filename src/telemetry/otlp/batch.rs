//! From the queue to documents: a batch is sent when it is full, or some time after it began.
//!
//! Where nothing happens, nothing is sent.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Activity, Happened, json, metrics::Metrics, send::Sender, trace};

/// Spans in one document.
const BATCH: usize = 512;
/// How long after its first item a batch is sent.
const PERIOD: Duration = Duration::from_secs(5);

/// Exports until the daemon stops, then what is left.
pub(super) async fn run(
    mut queue: mpsc::Receiver<Happened>,
    dropped: Arc<AtomicU64>,
    sender: Sender,
) {
    let mut batch = Batch {
        spans: Vec::new(),
        metrics: Metrics::new(),
        resource: json::resource(&instance()),
        dropped,
        sender,
    };
    let mut closing = batch.sender.closing.clone();
    while !*closing.borrow() {
        let mut due = None;
        while batch.spans.len() < BATCH {
            let wait = sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                happened = queue.recv() => match happened {
                    Some(happened) => batch.take(happened),
                    None => return batch.flush().await,
                },
                () = wait, if due.is_some() => break,
                Ok(()) = closing.changed() => break,
            }
            due.get_or_insert_with(|| Instant::now() + PERIOD);
        }
        if !*closing.borrow() {
            batch.flush().await;
        }
    }
    while let Ok(happened) = queue.try_recv() {
        batch.take(happened);
    }
    batch.flush().await;
}

/// Tells this process' counters from those of others.
fn instance() -> String {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        Err(_) => std::process::id().to_string(),
    }
}

struct Batch {
    spans: Vec<Activity>,
    metrics: Metrics,
    resource: Value,
    dropped: Arc<AtomicU64>,
    sender: Sender,
}

impl Batch {
    fn take(&mut self, happened: Happened) {
        self.metrics.count(&happened);
        if let Happened::Activity(activity) = happened {
            self.spans.push(*activity);
        }
    }

    async fn flush(&mut self) {
        let spans = mem::take(&mut self.spans);
        for spans in spans.chunks(BATCH) {
            let document = trace::document(spans, &self.resource);
            let lost = self.sender.send("traces", document, spans.len() as u64).await;
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        }
        let document = self.metrics.document(self.dropped.load(Ordering::Relaxed), &self.resource);
        // Cumulative, so what is lost comes with the next.
        self.sender.send("metrics", document, 1).await;
    }
}
