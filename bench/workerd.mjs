// One plain `workerd serve` per worker, so that the CPU of a process is the CPU of a worker.
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const WANTED_DATE = '2026-11-17';
const START_TIMEOUT_MS = 15_000;

/** `workerd --version` names the newest compatibility date it accepts. */
export function workerdVersion(bin) {
  const name = execFileSync(bin, ['--version'], { encoding: 'utf8' }).trim();
  const newest = name.match(/\d{4}-\d\d-\d\d/)[0];
  return { name, date: WANTED_DATE < newest ? WANTED_DATE : newest };
}

function config({ modules, bindings, date, everywhere, queues, objects, kv, disk }) {
  const text = JSON.stringify; // JSON strings are valid capnp strings for what is quoted here
  const module = (name) => `(name = ${text(name)}, ${name.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed ${text(name)})`;
  const binding = ([name, value]) => `(name = ${text(name)}, text = ${text(value)})`;
  // workerd's default network is "public"; "local" is loopback and nothing else. With `everywhere` all hosts are that one.
  const internet = everywhere ? `external = (address = ${text(everywhere)}, http = ())` : 'network = (allow = ["local"])';
  const queued = Object.entries(queues);
  const queueServices = queued.map(([name, address]) => `, (name = ${text(`queue ${name}`)}, external = (address = ${text(address)}, http = ()))`).join('');
  const queueBindings = queued.map(([name]) => `(name = ${text(name)}, queue = ${text(`queue ${name}`)})`);
  const kvServices = Object.entries(kv).map(([name, address]) => `, (name = ${text(`kv ${name}`)}, external = (address = ${text(address)}, http = ()))`).join('');
  const kvBindings = Object.keys(kv).map((name) => `(name = ${text(name)}, kvNamespace = ${text(`kv ${name}`)})`);
  // Durable Objects, by binding; what they keep is in the folder `disk`.
  const objectBindings = Object.entries(objects).map(([name, className]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`);
  const classes = Object.values(objects).map((className) => `(className = ${text(className)}, uniqueKey = ${text(className)}, enableSql = true)`);
  const diskService = disk ? `, (name = "disk", disk = (path = ${text(disk)}, writable = true))` : '';
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", ${internet})${queueServices}${kvServices}${diskService}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  compatibilityDate = ${text(date)},
  modules = [${modules.map(module).join(', ')}],
  bindings = [${[...Object.entries(bindings).map(binding), ...queueBindings, ...kvBindings, ...objectBindings].join(', ')}],${classes.length ? `
  durableObjectNamespaces = [${classes.join(', ')}], durableObjectStorage = (localDisk = "disk"),` : ''}
);
`;
}

/** The port, from the message workerd writes on the control descriptor once it listens. */
function listening(child, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name}: workerd did not listen in time`)), START_TIMEOUT_MS);
    let said = '';
    child.stdio[3].on('data', (data) => {
      said += data;
      const port = said.match(/"port":\s*(\d+)/);
      if (port) { clearTimeout(timer); resolve(Number(port[1])); }
    });
    child.on('error', reject);
    child.on('exit', (code) => { clearTimeout(timer); reject(new Error(`${name}: workerd ended with ${code}`)); });
  });
}

/** Starts a worker. `files` maps a module's name to its path, the main module first; `track` is told of the child at once. */
export async function startWorker({ bin, folder, name, files, bindings, date, track, everywhere, queues = {}, objects = {}, kv = {}, disk, output = 'inherit' }) {
  const home = join(folder, name);
  mkdirSync(home, { recursive: true });
  for (const [module, path] of Object.entries(files)) copyFileSync(path, join(home, module)); // `embed` is relative to the config
  writeFileSync(join(home, 'config.capnp'), config({ modules: Object.keys(files), bindings, date, everywhere, queues, objects, kv, disk }));
  const child = spawn(bin, ['serve', '--control-fd=3', join(home, 'config.capnp')], { stdio: ['ignore', output, output, 'pipe'] });
  track(child);
  const port = await listening(child, name);
  // Some installs of the npm package put a node launcher here; its CPU would be measured instead of workerd's.
  if (basename(readlinkSync(`/proc/${child.pid}/exe`)) !== 'workerd') throw new Error(`${bin} is a launcher: give the binary itself`);
  return { name, port, pid: child.pid };
}

/** Time on a CPU of the process so far, all threads, in ms. In nanoseconds, where /proc/<pid>/stat counts in steps of 10 ms; workerd's threads do not end. */
export function cpuMs(pid) {
  const ran = (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + ran(thread), 0) / 1e6;
}
