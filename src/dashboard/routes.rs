//! Which path is which page.

use axum::{
    Router, middleware,
    routing::{get, post},
};

use super::{context::App, guard::guard, pages};

/// Where providers lead browsers back to.
pub const CALLBACK_PATHS: [&str; 3] =
    ["/auth/callback/oauth", "/api/auth/callback/oauth", "/callback"];
/// What the paths of one-time links begin with.
pub(super) const OPEN_PATH: &str = "/open/";
/// The stylesheet.
pub(super) const STYLE_PATH: &str = "/style.css";
/// The script.
pub(super) const SCRIPT_PATH: &str = "/live.js";
/// The input every form carries the session's token in.
pub(super) const CSRF_INPUT: &str = "csrf";

/// All pages behind the guard.
pub(super) fn router(app: App) -> Router {
    let mut router = Router::new()
        .route("/", get(pages::overview::show))
        .route("/connections", get(pages::connections::list))
        .route("/connections/{provider}/{connection}/default", post(pages::connections::default))
        .route(
            "/connections/{provider}/{connection}/disconnect",
            get(pages::connections::confirm).post(pages::connections::disconnect),
        )
        .route("/providers", get(pages::catalogue::list))
        .route("/providers/{provider}", get(pages::provider::show))
        .route("/providers/{provider}/key", post(pages::provider::put))
        .route("/providers/{provider}/login", post(pages::provider::begin))
        .route("/servers", post(pages::catalogue::begin))
        .route("/logins/{id}", get(pages::login::show))
        .route("/logins/{id}/address", get(pages::login::address).post(pages::login::redirect))
        .route("/logins/{id}/client", post(pages::login::client))
        .route("/logins/{id}/cancel", post(pages::login::cancel))
        .route("/runs", get(pages::runs::list))
        .route("/runs/{id}", get(pages::runs::show))
        .route("/asks", get(pages::asks::list))
        .route("/asks/{id}", post(pages::asks::answer))
        .route("/events", get(pages::events::stream))
        .route("/audit", get(pages::audit::show))
        .route("/health", get(pages::health::show))
        .route("/sign-out", post(pages::door::leave))
        .route("/open/{token}", get(pages::door::enter))
        .route(STYLE_PATH, get(pages::assets::style))
        .route(SCRIPT_PATH, get(pages::assets::script));
    for path in CALLBACK_PATHS {
        router = router.route(path, get(pages::door::callback));
    }
    router
        .fallback(pages::missing)
        .method_not_allowed_fallback(pages::missing)
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}
