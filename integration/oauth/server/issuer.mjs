// One authorization server: oidc-provider as it comes, configured.

import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

import { exchange } from './exchange.mjs';
import { interaction, page } from './interaction.mjs';

export const MCP = 'https://mcp.example.test/mcp';
const SCOPES = ['openid', 'offline_access', 'api:read', 'api:write', 'mcp:read', 'mcp:write'];

export async function issuer(url, packages, clients, state) {
  const require = createRequire(`${packages}/package.json`);
  const load = (name) => import(pathToFileURL(require.resolve(name)));
  const { Provider, errors } = await load('oidc-provider');
  const jose = await load('jose');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'server-key' };
  const life = () => state.config.accessTokenLife;

  const provider = new Provider(url, {
    clients: clients.metadata,
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    // A token that has expired has expired.
    clockTolerance: 0,
    cookies: { keys: ['cookies of a test'] },
    expiresWithSession: () => false,
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    issueRefreshToken: (_, client) => state.config.refreshTokens && client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => state.config.rotate,
    jwks: { keys: [jwk] },
    enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    pkce: { required: () => true },
    responseTypes: ['code'],
    scopes: SCOPES,
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = page('Error', `<p>${out.error}: ${out.error_description}</p>`);
    },
    ttl: {
      AccessToken: life,
      AuthorizationCode: 60,
      ClientCredentials: life,
      DeviceCode: () => state.config.deviceCodeLife,
      Grant: 86_400,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: () => state.config.refreshTokenLife,
      Session: 3600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
      registration: { enabled: true },
      deviceFlow: {
        enabled: true,
        mask: '****-****',
        userCodeInputSource: (ctx, form, out) => {
          ctx.body = page('Enter code', `${out ? `<p>${out.error}</p>` : ''}${form}
            <button type="submit" form="op.deviceInputForm">Continue</button>`);
        },
        userCodeConfirmSource: (ctx, form, client, _, code) => {
          ctx.body = page('Confirm code', `<p>Does ${client.clientId} show you <b>${code}</b>?</p>${form}
            <button type="submit" form="op.deviceConfirmForm">Continue</button>
            <button type="submit" form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button>`);
        },
        successSource: (ctx) => { ctx.body = page('Device connected', '<p>You may close this page.</p>'); },
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== MCP) throw new errors.InvalidTarget();
          const jwt = state.config.mcpFormat === 'jwt';
          return {
            audience: resource,
            scope: 'mcp:read mcp:write',
            accessTokenTTL: life(),
            accessTokenFormat: jwt ? 'jwt' : 'opaque',
            ...(jwt && { jwt: { sign: { alg: 'ES256' } } }),
          };
        },
      },
    },
  });
  provider.on('server_error', (_, error) => state.problems.push(String(error.stack)));
  provider.use((ctx, next) => exchange(ctx, next, state));
  provider.use((ctx, next) => interaction(ctx, next, provider, state));

  const keys = jose.createLocalJWKSet({ keys: [{ ...jwk, d: undefined }] });
  return {
    url,
    provider,
    handle: provider.callback(),
    // The token's record if it is worth something now: what introspection would say of it.
    async active(token) {
      if (token.split('.').length === 3) {
        const verified = await jose.jwtVerify(token, keys, { issuer: url }).catch(() => undefined);
        return verified && { accountId: verified.payload.sub, ...verified.payload };
      }
      const found = await provider.AccessToken.find(token) ?? await provider.ClientCredentials.find(token);
      if (!found?.isValid) return undefined;
      if (found.grantId && !await provider.Grant.find(found.grantId)) return undefined;
      return found;
    },
    // Makes tokens worthless that were issued: `AccessToken`, `RefreshToken` or `Grant`.
    async revoke(model, values) {
      for (const value of values) {
        const found = await (provider[model] ?? provider.AccessToken).find(value, { ignoreExpiration: true });
        if (found) await found.destroy();
      }
    },
    // Someone says yes or no to a code that a device shows.
    async device(userCode, approve) {
      const code = await provider.DeviceCode.findByUserCode(userCode.toUpperCase().replace(/\W/g, ''));
      if (!code) return false;
      if (approve) {
        const grant = new provider.Grant({ accountId: 'ada', clientId: code.clientId });
        const scope = code.params.scope ?? '';
        grant.addOIDCScope(scope);
        Object.assign(code, { accountId: 'ada', authTime: Math.floor(Date.now() / 1000), scope });
        code.grantId = await grant.save();
      } else {
        Object.assign(code, { error: 'access_denied', errorDescription: 'End-User aborted interaction' });
      }
      await code.save();
      return true;
    },
  };
}
