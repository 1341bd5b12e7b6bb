//! Redirecting a group, and undoing it: each step is in the journal before it is done, and what is in the
//! journal is undone in the reverse order.

use super::{
    call::{Call, Filter, Output},
    error::Error,
    journal::{Journal, Store},
    parse,
    plan::{self, Plan},
};

/// Does what a plan says. A journal of one who was killed is undone first.
///
/// # Errors
/// The step that failed. All is then as it was, or the error says that it is not.
pub(crate) fn redirect(
    filter: &mut dyn Filter,
    store: &mut dyn Store,
    plan: &Plan,
) -> Result<Journal, Error> {
    if let Some(left) = store.load().map_err(Error::Journal)? {
        undo(filter, store, left)?;
    }
    let mut journal = Journal { gid: plan.gid, ..Journal::default() };
    match attempt(filter, store, plan, &mut journal) {
        Ok(()) => Ok(journal),
        // What could not be undone matters more than why it had to be.
        Err(error) => undo(filter, store, journal).and(Err(error)),
    }
}

fn attempt(
    filter: &mut dyn Filter,
    store: &mut dyn Store,
    plan: &Plan,
    journal: &mut Journal,
) -> Result<(), Error> {
    let skipped = preflight(filter)?;
    store.save(journal).map_err(Error::Journal)?;
    ask(filter, &Call::Load(plan.render()), "take the rules")?;
    look_at_rules(filter)?;
    let said = ask(filter, &Call::Enable, "become enabled")?;
    let token = parse::token(&said).ok_or(Error::Filter { step: "give a token", said })?;
    journal.token = Some(token);
    store.save(journal).map_err(Error::Journal)?;
    if skipped {
        journal.loopback_was_skipped = true;
        store.save(journal).map_err(Error::Journal)?;
        skip_loopback(filter, false)?;
    }
    Ok(())
}

/// Looks, changes nothing. Is `lo0` skipped?
fn preflight(filter: &mut dyn Filter) -> Result<bool, Error> {
    let translations = ask(filter, &Call::MainTranslations, "show its translation rules")?;
    let filters = ask(filter, &Call::MainFilters, "show its filter rules")?;
    if !parse::has_anchor_points(&translations, &filters) {
        return Err(Error::NoAnchorPoint);
    }
    let skipped = is_loopback_skipped(filter)?;
    if skipped && parse::blocks(&filters) {
        return Err(Error::KillSwitch);
    }
    Ok(skipped)
}

/// Undoes what a journal says. Whatever fails, the rest is tried, and the journal is kept for the next.
///
/// # Errors
/// [`Error::Undo`] names the first step that failed.
pub(crate) fn undo(
    filter: &mut dyn Filter,
    store: &mut dyn Store,
    mut journal: Journal,
) -> Result<(), Error> {
    let mut outcome = Ok(());
    if journal.loopback_was_skipped {
        match skip_loopback(filter, true) {
            Ok(()) => journal.loopback_was_skipped = false,
            Err(error) => outcome = Err(error),
        }
    }
    if let Some(token) = journal.token {
        match release(filter, token) {
            Ok(()) => journal.token = None,
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    for (call, step) in [
        (Call::FlushFilters, "give up our filter rules"),
        (Call::FlushTranslations, "give up our translation rules"),
    ] {
        outcome = outcome.and(ask(filter, &call, step).map(drop));
    }
    let stored = match &outcome {
        Ok(()) => store.clear(),
        Err(_) => store.save(&journal),
    };
    outcome.and(stored.map_err(Error::Journal)).map_err(|error| Error::Undo {
        said: match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    })
}

/// Is all still as [`redirect`] has left it?
///
/// # Errors
/// [`Error::Drift`] says what is not.
pub(crate) fn look(filter: &mut dyn Filter) -> Result<(), Error> {
    let enabled = ask(filter, &Call::Info, "say whether it is enabled")
        .is_ok_and(|info| parse::is_enabled(&info));
    let drift = if !enabled {
        "it is no longer enabled"
    } else if look_at_rules(filter).is_err() {
        "our rules are gone"
    } else if !matches!(is_loopback_skipped(filter), Ok(false)) {
        "it skips lo0"
    } else {
        return Ok(());
    };
    Err(Error::Drift(drift.to_owned()))
}

/// A token that is not known any more needs not be given back, and could not be.
fn release(filter: &mut dyn Filter, token: u64) -> Result<(), Error> {
    let known = ask(filter, &Call::References, "show who wants it enabled")?;
    if parse::has_token(&known, token) {
        ask(filter, &Call::Release(token), "take its token back")?;
    }
    Ok(())
}

fn look_at_rules(filter: &mut dyn Filter) -> Result<(), Error> {
    let step = "hold our rules";
    let said = ask(filter, &Call::AnchorTranslations, step)?;
    if parse::translations(&said) != plan::TRANSLATIONS {
        return Err(Error::Filter { step, said });
    }
    let said = ask(filter, &Call::AnchorFilters, step)?;
    if parse::filters(&said) < plan::FILTERS {
        return Err(Error::Filter { step, said });
    }
    Ok(())
}

fn is_loopback_skipped(filter: &mut dyn Filter) -> Result<bool, Error> {
    let step = "list lo0";
    let said = ask(filter, &Call::Interfaces, step)?;
    parse::loopback_is_skipped(&said).ok_or(Error::Filter { step, said })
}

fn skip_loopback(filter: &mut dyn Filter, skip: bool) -> Result<(), Error> {
    let step = if skip { "skip lo0 again" } else { "stop to skip lo0" };
    filter
        .set_loopback_skip(skip)
        .map_err(|error| Error::Filter { step, said: error.to_string() })?;
    if is_loopback_skipped(filter)? == skip {
        Ok(())
    } else {
        Err(Error::Filter { step, said: "it was told to, and does not".to_owned() })
    }
}

fn ask(filter: &mut dyn Filter, call: &Call, step: &'static str) -> Result<String, Error> {
    match filter.call(call) {
        Ok(Output { success: true, text }) => Ok(text),
        Ok(Output { success: false, text }) => {
            Err(Error::Filter { step, said: text.trim().to_owned() })
        }
        Err(error) => Err(Error::Filter { step, said: error.to_string() }),
    }
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
