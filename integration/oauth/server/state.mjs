// What the server knows of itself: how it is told to behave, what it was asked, what it gave away.

export class State {
  // Members of a JSON object that are secrets, in requests and in answers.
  static #SECRETS = new Set([
    'access_token', 'refresh_token', 'id_token', 'device_code', 'client_secret', 'client_assertion',
    'code_verifier', 'registration_access_token', 'code',
  ]);

  constructor(config, known) {
    // Hosts to authorization servers.
    this.issuers = new Map();
    this.config = {
      // Seconds.
      accessTokenLife: 3600,
      refreshTokenLife: 86_400,
      deviceCodeLife: 600,
      interval: 1,
      // A used refresh token is worth nothing, and its second use ends the grant.
      rotate: true,
      refreshTokens: true,
      // Interactions end by themselves, as if someone had clicked.
      auto: false,
      // Format of an access token for the MCP server: `opaque` or `jwt`.
      mcpFormat: 'opaque',
      registration: true,
      ...config,
    };
    this.faults = [];
    this.problems = [];
    this.secrets = new Map();
    for (const secret of known.secrets) this.secrets.set(secret, 'client');
    this.reset();
  }

  reset() {
    // Every request to an authorization server: {host, endpoint, grant, status, error, fault}.
    this.exchanges = [];
    // Every request to the API and the MCP server: {host, path, method, status, sha256}.
    this.requests = [];
  }

  // Remembers what of an object is secret.
  note(object) {
    for (const [name, value] of Object.entries(object ?? {})) {
      if (typeof value === 'string' && value && State.#SECRETS.has(name)) this.secrets.set(value, name);
      else if (value && typeof value === 'object') this.note(value);
    }
  }

  // The first fault that is for this request; used up by it.
  fault(endpoint, grant, host) {
    const fault = this.faults.find((fault) => fault.endpoint === endpoint
      && fault.times !== 0
      && (fault.grant === undefined || fault.grant === grant)
      && (fault.host === undefined || fault.host === host));
    if (!fault) return undefined;
    if (fault.skip > 0) {
      fault.skip -= 1;
      return undefined;
    }
    fault.times = (fault.times ?? 1) - 1;
    return fault;
  }
}
