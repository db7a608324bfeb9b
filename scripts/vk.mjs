// Virtual keys with wrangler alone: `npm run vk -- create --name alice --budget 10/1M --rpm 60 --models 'openai/*'`.
// Each command prints the wrangler lines that it runs. Only the hash of a key is stored: docs/virtual-keys.md.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const PROVIDERS = ['openai', 'anthropic', 'gemini', 'vertex', 'azure', 'ollama'];
const root = path.resolve(import.meta.dirname, '..');
const HELP = `npm run vk -- <command> [options]

  create --name NAME       a new key; prints it once
    --budget USD/PERIOD      such as 10/1M; periods: 30s 5m 1h 1d 1w 1M 1Y
    --rpm N  --tpm N         requests and tokens a minute; --requests N/PERIOD and --tokens N/PERIOD for other periods
    --models LIST            such as 'openai/gpt-4o*,anthropic/*'; default: everything
    --keys LIST              names of the provider's keys that it may use; default: all
    --team ID --customer ID  whose limits count, too
    --expires TIME           such as 2027-01-31T00:00:00Z
    --calendar               the budget's period begins with the day, week, month or year (UTC)
    --key KEY                takes this key instead of a new one
  team --id ID --name NAME, customer --id ID --name NAME      with --budget, --rpm, --tpm as above
  list                     what there is
  off ID, on ID            switches a key off or on
  delete ID                deletes a key, a team or a customer

  --remote                 in your account; without it, the local state of wrangler dev
  --namespace-id ID        the store, where wrangler.toml does not tell its id
`;

const { values: given, positionals: [command, target] } = (() => {
  const text = ['name', 'id', 'budget', 'rpm', 'tpm', 'requests', 'tokens', 'models', 'keys', 'team', 'customer', 'expires', 'key', 'namespace-id', 'persist-to'];
  try {
    return parseArgs({ allowPositionals: true, options: { ...Object.fromEntries(text.map((name) => [name, { type: 'string' }])), remote: { type: 'boolean' }, calendar: { type: 'boolean' }, help: { type: 'boolean' } } });
  } catch (error) {
    return fail(error.message);
  }
})();

function fail(message) {
  console.error(`vk: ${message}\n\n${HELP}`);
  process.exit(2);
}

const where = given.remote ? ['--remote'] : ['--local', ...(given['persist-to'] ? ['--persist-to', given['persist-to']] : [])];
const store = given['namespace-id'] ? ['--namespace-id', given['namespace-id']] : ['--binding', 'KEYS'];
const quoted = (word) => (/^[\w:./=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// wrangler needs Node 22; npm has it as a package.
const packaged = path.join(root, 'node_modules/node/bin/node');
const node = existsSync(packaged) ? packaged : process.execPath;

/** Runs wrangler and shows the line, unless it only looks. */
function wrangler(args, isQuiet) {
  const all = ['kv', 'key', ...args, ...store, ...where];
  if (!isQuiet) console.log(`wrangler ${all.map(quoted).join(' ')}`);
  try {
    return execFileSync(node, [path.join(root, 'node_modules/wrangler/bin/wrangler.js'), ...all], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true' } });
  } catch (error) {
    console.error(`vk: wrangler failed:\n${error.stderr || error.stdout}`);
    return process.exit(1);
  }
}

const put = (name, record) => wrangler(['put', name, JSON.stringify(record)]);
const names = (prefix) => JSON.parse(wrangler(['list', '--prefix', prefix], true)).map(({ name }) => name);
const UNREADABLE = { id: '?', name: 'cannot be read' };
const read = (name) => { try { return JSON.parse(wrangler(['get', name, '--text'], true)); } catch { return UNREADABLE; } };

function amount(option, period) {
  const [max, duration = period] = (given[option] ?? '').split('/');
  if (!(option === 'budget' ? /^\d+(\.\d+)?$/ : /^\d+$/).test(max)) fail(`--${option} ${given[option]}: expected ${option === 'budget' ? 'an amount of USD, such as 10/1M' : 'a whole number, such as 60'}`);
  if (!/^[1-9]\d*[smhdwMY]$/.test(duration ?? '')) fail(`--${option} ${given[option]}: expected a period after '/', such as 1M`);
  return [Number(max), duration];
}

function limits() {
  const record = {};
  if (given.budget) {
    const [max_limit, reset_duration] = amount('budget');
    if (given.calendar && !/[dwMY]$/.test(reset_duration)) fail('--calendar is for periods of days and longer');
    record.budget = { max_limit, reset_duration, ...(given.calendar && { calendar_aligned: true }) };
  }
  for (const [word, short, long] of [['request', 'rpm', 'requests'], ['token', 'tpm', 'tokens']]) {
    const option = given[short] ? short : given[long] ? long : undefined;
    if (!option) continue;
    const [max, duration] = amount(option, option === short ? '1m' : undefined);
    record.rate_limit = { ...record.rate_limit, [`${word}_max_limit`]: max, [`${word}_reset_duration`]: duration };
  }
  return record;
}

function allowed() {
  const list = (text) => text.split(',').map((name) => name.trim()).filter(Boolean);
  const keys = list(given.keys ?? '*');
  const models = new Map();
  for (const pattern of list(given.models ?? '*')) {
    const [head, ...rest] = pattern.split('/');
    const [provider, model] = rest.length && (PROVIDERS.includes(head) || head === '*') ? [head, rest.join('/')] : ['*', pattern];
    models.set(provider, [...(models.get(provider) ?? []), model]);
  }
  return [...models].map(([provider, allowed_models]) => ({ provider, allowed_models, weight: 1, keys }));
}

/** What the gateway would not read is not written. */
function checked(record) {
  if (!/^[\w.-]{1,100}$/.test(record.id)) fail(`the id '${record.id}': at most 100 letters, digits, '-', '_' and '.'`);
  if (record.expires_at && !(/^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$/.test(record.expires_at) && !Number.isNaN(Date.parse(record.expires_at)))) fail(`--expires ${record.expires_at}: expected a time such as 2027-01-31T00:00:00Z`);
  return record;
}

const required = (option) => given[option] ?? fail(`--${option} is required`);

/** The name in the store of what has that identifier. */
function named(id) {
  if (!id) fail('say which one: its id, as `npm run vk -- list` shows it');
  for (const prefix of ['vk:', 'team:', 'customer:']) {
    for (const name of names(prefix)) {
      const record = read(name);
      if (record.id === id || name === `${prefix}${id}`) return { name, record };
    }
  }
  return fail(`there is no '${id}'`);
}

function turn(is_active) {
  const { name, record } = named(target);
  if (!name.startsWith('vk:') || record === UNREADABLE) fail(`'${target}' is no key that can be switched ${is_active ? 'on' : 'off'}; delete it`);
  put(name, { ...record, is_active });
}

const commands = {
  create() {
    const key = given.key ?? `sk-bf-${randomBytes(32).toString('base64url')}`;
    const record = checked({ id: given.id ?? `vk_${randomBytes(12).toString('hex')}`, name: required('name'), is_active: true, expires_at: given.expires ?? null, provider_configs: allowed(), ...limits(), team_id: given.team ?? null, customer_id: given.customer ?? null, created_at: new Date().toISOString() });
    put(`vk:${createHash('sha256').update(key).digest('hex')}`, record);
    console.log(`\n${record.name} (${record.id}) has this key, which is shown only now:\n\n  ${key}\n`);
  },
  team: () => put(`team:${required('id')}`, checked({ id: given.id, name: required('name'), ...limits(), customer_id: given.customer ?? null })),
  customer: () => put(`customer:${required('id')}`, checked({ id: given.id, name: required('name'), ...limits() })),
  list() {
    for (const prefix of ['vk:', 'team:', 'customer:']) {
      for (const name of names(prefix)) {
        const record = read(name);
        const rate = record.rate_limit ?? {};
        const told = [record.budget && `${record.budget.max_limit} USD/${record.budget.reset_duration}`, rate.request_max_limit && `${rate.request_max_limit} requests/${rate.request_reset_duration}`, rate.token_max_limit && `${rate.token_max_limit} tokens/${rate.token_reset_duration}`, record.is_active === false && 'off', record.expires_at && `until ${record.expires_at}`];
        console.log([prefix.slice(0, -1), record.id, record.name, ...told].filter(Boolean).join('  '));
      }
    }
  },
  off: () => turn(false),
  on: () => turn(true),
  delete() { wrangler(['delete', named(target).name]); },
};

if (given.help || !command) { console.log(HELP); process.exit(command || given.help ? 0 : 2); }
if (!Object.hasOwn(commands, command)) fail(`there is no command '${command}'`);
commands[command]();
