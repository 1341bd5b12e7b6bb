// Where a person logs in and consents: two pages of plain forms, or nobody at all.

const escape = (text) => String(text).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

export const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">
<title>${title}</title><h1>${title}</h1>${body}</html>`;

export async function interaction(ctx, next, provider, state) {
  const uid = /^\/interaction\/([\w-]+)$/.exec(ctx.path)?.[1];
  if (!uid) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const form = new URLSearchParams(ctx.req.body);
  ctx.set('cache-control', 'no-store');
  if (ctx.method === 'POST' || state.config.auto) {
    const result = form.get('abort') || state.config.auto === 'deny'
      ? { error: 'access_denied', error_description: 'End-User aborted interaction' }
      : await outcome(details, form.get('login') ?? 'ada', provider);
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
    return undefined;
  }
  ctx.type = 'html';
  ctx.body = details.prompt.name === 'login' ? login() : consent(details);
  return undefined;
}

// What a click on the first button leads to.
async function outcome({ prompt, grantId, session, params }, accountId, provider) {
  if (prompt.name === 'login') return { login: { accountId } };
  const grant = await provider.Grant.find(grantId ?? '')
    ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return { consent: { grantId: await grant.save() } };
}

const login = () => page('Sign in', `<form method="post">
<label>Account <input name="login" required autocomplete="off"></label>
<label>Password <input name="password" type="password" autocomplete="off"></label>
<button type="submit">Sign in</button></form>`);

const consent = ({ params }) => page('Authorize', `<p><b>${escape(params.client_id)}</b> asks for
${escape(params.scope ?? 'nothing')}${params.resource ? ` at ${escape(params.resource)}` : ''}.</p>
<form method="post"><button type="submit">Authorize</button>
<button type="submit" name="abort" value="yes">Cancel</button></form>`);
