#![cfg(test)]
mod driver;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(netns::HELPER_ARGUMENT) => netns::helper_main(),
        Some("driver") => driver::run(arguments),
        _ => std::process::ExitCode::SUCCESS,
    }
}
