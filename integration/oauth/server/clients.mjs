// Clients that are registered beforehand: one for each way to authenticate.

import { generateKeyPairSync, randomBytes } from 'node:crypto';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const redirects = { application_type: 'native', redirect_uris: ['http://127.0.0.1/auth/callback/oauth'] };

export function clients() {
  const random = () => randomBytes(18).toString('base64url');
  const user = ['authorization_code', 'refresh_token', DEVICE];
  const own = [...user, 'client_credentials'];
  // What RFC 6749 §2.3.1 wants encoded before it is put into Basic, so that no client gets by without.
  const basicSecret = `b:${random()}/+%3A =&~`;
  const postSecret = `p&${random()}+%26 =/`;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'client-key' };
  return {
    metadata: [
      { client_id: 'public', token_endpoint_auth_method: 'none', grant_types: user, ...redirects },
      {
        client_id: 'basic:client',
        client_secret: basicSecret,
        token_endpoint_auth_method: 'client_secret_basic',
        grant_types: own,
        ...redirects,
      },
      {
        client_id: 'post',
        client_secret: postSecret,
        token_endpoint_auth_method: 'client_secret_post',
        grant_types: own,
        ...redirects,
      },
      {
        client_id: 'jwt',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [jwk] },
        grant_types: own,
        ...redirects,
      },
    ],
    credentials: {
      public: { id: 'public' },
      basic: { id: 'basic:client', secret: basicSecret },
      post: { id: 'post', secret: postSecret },
      jwt: { id: 'jwt', secret: pem },
    },
    secrets: [
      basicSecret,
      postSecret,
      // A line of the key: a file that holds it holds the key.
      pem.split('\n')[1],
      privateKey.export({ format: 'jwk' }).d,
    ],
  };
}
