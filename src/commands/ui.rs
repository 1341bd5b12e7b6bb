//! `authsome ui`: the dashboard, by a link that opens it once.

use serde_json::json;

use super::{Context, Error};
use crate::{cli::UiArgs, paths, protocol::Request};

pub(super) fn ui(args: &UiArgs, context: &Context) -> Result<(), Error> {
    let url: String = context.client()?.call(Request::DashboardLink { page: None })?;
    let opened = !args.no_browser && !context.output.is_json() && open(&url, context);
    Ok(context.output.result(json!({ "url": url }), |text| {
        if opened {
            text.line(
                "Opening the dashboard. If nothing opens, this link does, once, for a minute:",
            );
        }
        text.line(&url);
    })?)
}

/// Opens a page of ours that leads there: an argument could be read by every user of the machine.
fn open(url: &str, context: &Context) -> bool {
    let page = context.home.dashboard_page();
    let text = format!(
        "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer>\
         <meta http-equiv=refresh content=\"0;url={url}\"><title>authsome</title>\
         <a href=\"{url}\">Open the dashboard</a>\n"
    );
    paths::write_private(&page, text.as_bytes()).is_ok() && open::that_detached(&page).is_ok()
}
