// What tokens are for: an API (`/api/me` of any host) and an MCP server (`/mcp` of mcp.example.test).

import { createHash } from 'node:crypto';

import { MCP } from './issuer.mjs';

const METADATA = '/.well-known/oauth-protected-resource';

export async function api(request, response, state) {
  const { host, authorization = '' } = request.headers;
  const path = request.url.split('?')[0];
  const answer = (status, body, headers = {}) => {
    state.requests.push({
      host, path, method: request.method, status, sha256: body.sha256, known: body.known, at: Date.now(),
    });
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(`${JSON.stringify(body)}\n`);
  };
  const spoilt = state.fault('api', undefined, host);
  if (spoilt) return answer(spoilt.status, { spoilt: true }, spoilt.headers);

  if (path === `${METADATA}/mcp` && host === 'mcp.example.test') {
    const fault = state.fault('resource_metadata');
    return answer(200, {
      resource: MCP,
      authorization_servers: [[...state.issuers.values()][0].url],
      scopes_supported: ['mcp:read', 'mcp:write'],
      bearer_methods_supported: ['header'],
      ...fault?.members,
    });
  }
  const mcp = path === '/mcp' && host === 'mcp.example.test';
  if (!mcp && path !== '/api/me') return answer(404, { error: 'not_found' });

  const token = /^Bearer (.+)$/.exec(authorization)?.[1] ?? '';
  let found;
  const own = state.issuers.get(host);
  for (const issuer of own ? [own] : state.issuers.values()) found ??= token && await issuer.active(token);
  // What came is told by its hash: an answer must not be where a token comes from.
  const sha256 = token && createHash('sha256').update(token).digest('hex');
  const known = state.secrets.get(token) === 'access_token';
  if (!found || (mcp && ![found.aud].flat().includes(MCP))) {
    const metadata = mcp ? `resource_metadata="https://${host}${METADATA}/mcp"` : 'realm="api"';
    const error = authorization ? ', error="invalid_token"' : '';
    return answer(401, { error: 'invalid_token', sha256, known }, {
      'www-authenticate': `Bearer ${metadata}${error}`,
    });
  }
  return answer(200, {
    sub: found.accountId, client: found.clientId ?? found.client_id, scope: found.scope, sha256, known,
  });
}
