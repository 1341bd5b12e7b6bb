// What passes between a client and an authorization server: written down, and spoilt on demand.
//
// A fault is {endpoint, kind, grant?, host?, times = 1, skip = 0} and what its kind takes:
//   delay, delay_after {ms}      later, before or after it was processed
//   hang, hang_after             never an answer
//   drop, drop_after             the connection is closed
//   status {status, body, headers}   this answer instead
//   error {error, description, status = 400}   an error of RFC 6749 §5.2 or RFC 8628 §3.5
//   oversize {bytes, chunked}    an answer that does not end in time
//   patch {members}              members of the answer set, or removed where null
//   query {set, remove}          of the redirect that ends an authorization (endpoint `redirect`)

import { Readable } from 'node:stream';

const ENDPOINTS = [
  [/^\/\.well-known\/(openid-configuration|oauth-authorization-server)/, 'discovery'],
  [/^\/auth(\/|$)/, 'authorization'],
  [/^\/token$/, 'token'],
  [/^\/token\/revocation$/, 'revocation'],
  [/^\/token\/introspection$/, 'introspection'],
  [/^\/reg/, 'registration'],
  [/^\/device\/auth$/, 'device_authorization'],
  [/^\/device/, 'device'],
];

const later = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export async function exchange(ctx, next, state) {
  const endpoint = ENDPOINTS.find(([pattern]) => pattern.test(ctx.path))?.[1];
  if (!endpoint) return next();
  const form = ctx.is('application/x-www-form-urlencoded')
    ? Object.fromEntries(new URLSearchParams(ctx.req.body)) : {};
  state.note(form);
  const grant = form.grant_type;
  const entry = { host: ctx.host, method: ctx.method, endpoint, grant, at: Date.now() };
  state.exchanges.push(entry);
  const fault = state.fault(endpoint, grant, ctx.host);
  if (fault) entry.fault = fault.kind;
  if (await before(ctx, fault)) {
    entry.status = ctx.respond === false ? 0 : ctx.status;
    return undefined;
  }
  await next();
  if (endpoint === 'device_authorization' && ctx.status === 200) ctx.body.interval = state.config.interval;
  entry.status = ctx.status;
  entry.error = ctx.body?.error;
  if (ctx.body?.constructor === Object) state.note(ctx.body);
  redirect(ctx, state);
  return after(ctx, fault);
}

// Answers in place of the server; false: it shall answer itself.
async function before(ctx, fault) {
  switch (fault?.kind) {
    case 'delay':
      await later(fault.ms);
      return false;
    case 'hang':
      ctx.respond = false;
      return true;
    case 'drop':
      ctx.respond = false;
      ctx.req.socket.destroy();
      return true;
    case 'status':
      ctx.status = fault.status;
      ctx.set({ 'content-type': 'application/json', ...fault.headers });
      ctx.body = fault.body ?? '';
      return true;
    case 'error':
      ctx.status = fault.status ?? 400;
      ctx.set('cache-control', 'no-store');
      ctx.body = { error: fault.error, error_description: fault.description };
      return true;
    case 'oversize': {
      const head = '{"access_token":"';
      const tail = '","token_type":"Bearer"}';
      ctx.type = 'json';
      if (fault.chunked) {
        let left = fault.bytes;
        ctx.body = Readable.from((function* chunks() {
          yield head;
          for (; left > 0; left -= 65_536) yield 'x'.repeat(65_536);
          yield tail;
        }()));
      } else {
        ctx.body = head + 'x'.repeat(fault.bytes) + tail;
      }
      return true;
    }
    default:
      return false;
  }
}

// Has processed the request; what reaches the client is another matter.
async function after(ctx, fault) {
  switch (fault?.kind) {
    case 'delay_after':
      await later(fault.ms);
      break;
    case 'hang_after':
      ctx.respond = false;
      break;
    case 'drop_after':
      ctx.respond = false;
      ctx.req.socket.destroy();
      break;
    case 'patch': {
      const body = { ...ctx.body, ...fault.members };
      ctx.body = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
      break;
    }
    default:
  }
}

// The code in a redirect to the client is a secret; faults may change what is beside it.
function redirect(ctx, state) {
  const location = ctx.response.get('location');
  if (!location?.startsWith('http://127.0.0.1')) return;
  const url = new URL(location);
  state.note(Object.fromEntries(url.searchParams));
  const fault = state.fault('redirect', undefined, ctx.host);
  if (!fault) return;
  for (const name of fault.remove ?? []) url.searchParams.delete(name);
  for (const [name, value] of Object.entries(fault.set ?? {})) url.searchParams.set(name, value);
  ctx.set('location', url.href);
}
