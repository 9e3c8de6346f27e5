/**
 * The demo: two real Kafka clusters, live traffic of a small payment platform on one, a mirror to the other that may be
 * killed at any time, and a separate reader that compares both. `npm run demo -- --help` says what else it can do.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';
import { setup } from '../scripts/setup.ts';
import { startDemo, type Demo } from './demo.ts';
import { parseOptions, usage, type DemoOptions } from './options.ts';
import { Screen } from './screen.ts';
import type { Snapshot } from './snapshot.ts';
import { renderView, type Paint } from './view.ts';
import { describeEnding, describeProgress, describeStop, stamped } from './words.ts';

const DRAW_MS = 500;
const LINES_MS = 3000;
/** How long the scripted kill leaves the mirror dead. */
const DEAD_MS = 2000;
const PLANT_AFTER_MS = 8000;
const FOUND_WITHIN_MS = 60_000;

const exitCodes = { ok: 0, different: 1, usage: 2, interrupted: 130 } as const;

const say = (line = ''): void => void process.stdout.write(`${line}\n`);
const paint: Paint = (style, text) => styleText([style].flat(), text, { stream: process.stdout });

process.exit(await main());

async function main(): Promise<number> {
  let options: DemoOptions | 'help';
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n\n${usage}`);
    return exitCodes.usage;
  }
  if (options === 'help') {
    say(usage.trimEnd());
    return exitCodes.ok;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort(signal));
  process.stdout.on('error', () => stop.abort('the terminal is gone'));
  try {
    return await run(options, stop);
  } catch (error) {
    if (stop.signal.aborted) return exitCodes.interrupted;
    process.stderr.write(`\ndemo: ${messageOf(error)}\n`);
    return exitCodes.different;
  }
}

async function run(options: DemoOptions, stop: AbortController): Promise<number> {
  const { signal } = stop;
  const started = performance.now();
  say(paint('bold', 'Lockstep demo: two real Kafka clusters, live traffic, and a mirror between them'));
  say();
  const step = (name: string, text: string): void => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    say(`${paint('dim', `${seconds.padStart(6)} s`)}  ${name.padEnd(8)}  ${text}`);
  };
  await unlessAborted(signal, setup({ versions: ['4.3.1'], log: sayOfSetup() }));
  step('setup', 'Apache Kafka 4.3.1 is here; starting two clusters');
  const demo = await unlessAborted(signal, startDemo(step));
  try {
    return await show(demo, options, stop);
  } finally {
    await demo.close();
    if (signal.aborted) say('stopped   clusters, traffic and mirror are gone, and their files too');
  }
}

/** Set-up is silent where nothing is missing; its first line means a first run. */
function sayOfSetup(): (line: string) => void {
  let hasSaid = false;
  return (line) => {
    if (!hasSaid) say('The first run fetches and prepares Apache Kafka, which takes a minute or two.\n');
    hasSaid = true;
    say(`  ${line}`);
  };
}

/** Shows the running demo until it ends or is ended, and sums up. */
async function show(demo: Demo, options: DemoOptions, stop: AbortController): Promise<number> {
  const isTerminal = process.stdout.isTTY && process.stdin.isTTY && process.env['TERM'] !== 'dumb';
  const stopShowing = isTerminal ? showOnTerminal(demo, stop) : showInLines(demo);
  try {
    const running = [demo.failed, followScript(demo, options, stop.signal)];
    if (!isTerminal || options.seconds !== null) running.push(failWithMirror(demo, stop.signal));
    const ending = await unlessAborted(stop.signal, Promise.race(running));
    stopShowing();
    say();
    for (const line of describeEnding(ending)) say(line);
    const { complete, compared, differences } = ending.comparison;
    return complete && compared > 0 && differences === 0 ? exitCodes.ok : exitCodes.different;
  } catch (error) {
    stopShowing();
    if (!stop.signal.aborted) throw error;
    say();
    const last = demo.snapshot();
    for (const line of describeStop(last)) say(line);
    if (last.proof.differences > 0) return exitCodes.different;
    return stop.signal.reason === 'key' ? exitCodes.ok : exitCodes.interrupted;
  } finally {
    stopShowing();
  }
}

/** What happens without a key: the planted difference, the kill in the middle, the end. Without --seconds it never ends. */
async function followScript(demo: Demo, { seconds, plant }: DemoOptions, signal: AbortSignal) {
  const until = async (ms: number): Promise<void> => {
    const left = ms - demo.snapshot().elapsedMs;
    if (left > 0) await sleep(left, undefined, { signal });
  };
  if (seconds === null) {
    if (plant) await until(PLANT_AFTER_MS);
    if (plant) await plantSoon(demo, signal);
    return sleep(2 ** 31 - 1, undefined, { signal }).then(() => demo.finish());
  }
  const endMs = seconds * 1000;
  if (plant) {
    await until(Math.min(PLANT_AFTER_MS, endMs / 4));
    await plantSoon(demo, signal);
  }
  await until(endMs / 2);
  await untilCompared(demo, signal);
  await demo.killMirror();
  await sleep(DEAD_MS, undefined, { signal });
  demo.startMirror();
  await until(endMs);
  if (plant) await untilFound(demo, signal);
  return demo.finish();
}

async function plantSoon(demo: Demo, signal: AbortSignal): Promise<void> {
  await untilCompared(demo, signal);
  while (!demo.plant()) await sleep(100, undefined, { signal });
}

/** A slow machine may need longer than the script gives it until the mirror has copied its first records. */
async function untilCompared(demo: Demo, signal: AbortSignal): Promise<void> {
  while ((demo.comparison?.compared ?? 0) === 0) await sleep(100, undefined, { signal });
}

/** The same for the reader, until it has come round to the altered record; one that never does must not go on for ever. */
async function untilFound(demo: Demo, signal: AbortSignal): Promise<void> {
  const endMs = demo.snapshot().elapsedMs + FOUND_WITHIN_MS;
  const isOpen = ({ proof, elapsedMs }: Snapshot): boolean => proof.differences === 0 && elapsedMs < endMs;
  while (isOpen(demo.snapshot())) await sleep(200, undefined, { signal });
}

/** Where nobody presses a key to start it again, a mirror that ends by itself ends the demo. */
async function failWithMirror({ mirror }: Demo, signal: AbortSignal): Promise<never> {
  while (mirror.state !== 'ended') await sleep(200, undefined, { signal });
  throw new Error(`the mirror ended by itself:\n${mirror.lastWords}`);
}

/** Draws the view twice a second and obeys keys; returns what ends that. */
function showOnTerminal(demo: Demo, stop: AbortController): () => void {
  const screen = new Screen(process.stdin, process.stdout);
  const draw = (): void =>
    screen.draw(renderView(demo.snapshot(), { columns: screen.columns, rows: screen.rows, paint }));
  const keys: Readonly<Record<string, () => void>> = {
    k: () => void demo.killMirror().then(draw),
    r: () => demo.startMirror(),
    p: () => {
      if (!demo.plant()) demo.note('nothing to alter yet: the mirror has not copied a fitting record');
    },
    q: () => stop.abort('key'),
    '\u0003': () => stop.abort('key'),
  };
  screen.open((key) => {
    keys[key.toLowerCase()]?.();
    draw();
  }, draw);
  draw();
  const timer = setInterval(draw, DRAW_MS);
  return () => {
    clearInterval(timer);
    screen.close();
  };
}

/** Prints events as they come and the state every three seconds; returns what ends that. */
function showInLines(demo: Demo): () => void {
  say();
  let told = 0;
  const tellEvents = (): void => {
    const { events } = demo.snapshot();
    for (const { atMs, text } of events.slice(told)) say(stamped(atMs, text));
    told = events.length;
  };
  tellEvents();
  const events = setInterval(tellEvents, 200);
  const lines = setInterval(() => {
    tellEvents();
    say(describeProgress(demo.snapshot()));
  }, LINES_MS);
  return () => {
    clearInterval(events);
    clearInterval(lines);
    tellEvents();
  };
}

/** Rejects as soon as the signal aborts; what was awaited goes on and ends with the process. */
function unlessAborted<T>(signal: AbortSignal, awaited: Promise<T>): Promise<T> {
  awaited.catch(() => {});
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new Error(`ended by ${String(signal.reason)}`));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    awaited.then(resolve, reject);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
