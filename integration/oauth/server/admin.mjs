// What a test asks and commands, over plain HTTP on a port of its own that no agent reaches.

export async function admin(url, body, state) {
  const input = body ? JSON.parse(body) : {};
  const everywhere = async (act) => {
    const answers = [];
    for (const issuer of state.issuers.values()) answers.push(await act(issuer));
    return answers;
  };
  switch (url) {
    case '/_test/stats':
      return stats(state);
    case '/_test/exchanges':
      return state.exchanges;
    case '/_test/requests':
      return state.requests;
    // Every secret that was issued or used, with its kind.
    case '/_test/secrets':
      return Object.fromEntries(state.secrets);
    // {accessTokenLife, …}: see State. Tokens that are out keep what they have.
    case '/_test/config':
      return Object.assign(state.config, input);
    // [fault, …]: see exchange.mjs. In place of those that were set.
    case '/_test/faults':
      state.faults = input;
      return {};
    case '/_test/reset':
      state.reset();
      state.faults = [];
      return {};
    // {model: AccessToken|RefreshToken}: all that are out become worthless, and only those.
    case '/_test/revoke': {
      const kind = input.model === 'RefreshToken' ? 'refresh_token' : 'access_token';
      const values = [...state.secrets].filter(([, what]) => what === kind).map(([value]) => value);
      await everywhere((issuer) => issuer.revoke(input.model, values));
      return {};
    }
    // {token}: is it worth something?
    case '/_test/active': {
      const answers = await everywhere(async ({ active, provider }) => await active(input.token)
        ?? provider.RefreshToken.find(input.token));
      return { active: answers.some((found) => found && !found.consumed) };
    }
    // {user_code, approve}
    case '/_test/device':
      return { found: (await everywhere((issuer) => issuer.device(input.user_code, input.approve))).includes(true) };
    default:
      throw new Error(`no such command: ${url}`);
  }
}

function stats(state) {
  const count = (items, key) => items.reduce((counts, item) => {
    const name = key(item);
    return name === undefined ? counts : { ...counts, [name]: (counts[name] ?? 0) + 1 };
  }, {});
  return {
    endpoints: count(state.exchanges, ({ endpoint }) => endpoint),
    grants: count(state.exchanges, ({ grant }) => grant),
    errors: count(state.exchanges, ({ error }) => error),
    requests: count(state.requests, ({ path, status }) => `${path} ${status}`),
    unknown_tokens: state.requests.filter(({ sha256, known }) => sha256 && !known).length,
    problems: state.problems,
  };
}
