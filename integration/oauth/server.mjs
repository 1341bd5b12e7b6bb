// The judge of OAuth logins: oidc-provider, a certified authorization server, over HTTPS, beside an API
// and an MCP server that take its tokens, and a port of its own for the test to ask and to command.
//
//   node server.mjs --clients DIR --cert FILE --key FILE [--issuer URL]... [--config JSON]
//
// Writes one line of JSON when it listens: {port, admin, issuers, clients}. Ends with its standard input.

import { createServer as createAdmin } from 'node:http';
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { admin } from './server/admin.mjs';
import { api } from './server/api.mjs';
import { clients } from './server/clients.mjs';
import { issuer } from './server/issuer.mjs';
import { State } from './server/state.mjs';

// Standard output has one line.
console.info = console.error;
const { values } = parseArgs({
  options: {
    clients: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    port: { type: 'string', default: '0' },
    issuer: { type: 'string', multiple: true, default: ['https://auth.example.test'] },
    config: { type: 'string', default: '{}' },
  },
});

const known = clients();
const state = new State(JSON.parse(values.config), known);
for (const url of values.issuer) {
  state.issuers.set(new URL(url).host, await issuer(url, values.clients, known, state));
}

const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

const listen = (server, port) => new Promise((resolve) => {
  server.listen(port, '127.0.0.1', () => resolve(server.address().port));
});

const server = createServer(
  { cert: readFileSync(values.cert), key: readFileSync(values.key), keepAliveTimeout: 30_000 },
  async (request, response) => {
    try {
      // An API may live on the host that gives its tokens, as it does on a server of one's own.
      const found = !request.url.startsWith('/api/') && state.issuers.get(request.headers.host);
      // Whoever judges a request wants to see its body before oidc-provider reads it.
      request.body = await body(request);
      await (found ? found.handle(request, response) : api(request, response, state));
    } catch (error) {
      state.problems.push(String(error.stack));
      response.destroy();
    }
  },
);
// oidc-provider's metadata names the port that issuers have, 443: what dials this one maps it.
const port = await listen(server, Number(values.port));
const adminPort = await listen(createAdmin(async (request, response) => {
  try {
    const answer = await admin(request.url, await body(request), state);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer));
  } catch (error) {
    response.statusCode = 500;
    response.end(JSON.stringify({ problem: String(error.stack) }));
  }
}), 0);

process.stdout.write(`${JSON.stringify({
  port, admin: adminPort, issuers: values.issuer, clients: known.credentials,
})}\n`);
process.stdin.resume().on('end', () => process.exit(0));
