/** `npm run check`: everything that can be said about the code without running it, one line per tool with its seconds. */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const tools = [
  { name: 'types', argv: ['tsc', '--noEmit'] },
  { name: 'lint', argv: ['oxlint'] },
  { name: 'format', argv: ['oxfmt', '--check'] },
  { name: 'dead code', argv: ['knip', '--no-progress'] },
  { name: 'tidy', argv: ['vitest', 'run', '--project', 'unit', '--reporter', 'dot', 'test/tidy.test.ts'] },
];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const failed = tools.filter((tool) => !passes(tool));
if (failed.length > 0) {
  console.log(`failed: ${failed.map((tool) => tool.name).join(', ')}; npm run fix mends format and some of lint`);
  process.exitCode = 1;
}

function passes(tool: (typeof tools)[number]): boolean {
  const [command = '', ...args] = tool.argv;
  const started = performance.now();
  const run = spawnSync(process.execPath, [`node_modules/.bin/${command}`, ...args], { cwd: root, encoding: 'utf8' });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const passed = run.status === 0;
  console.log(`${passed ? 'ok    ' : 'FAILED'}  ${tool.name.padEnd(10)} ${seconds.padStart(5)} s`);
  if (!passed) console.log(`${run.error?.message ?? ''}${run.stdout}${run.stderr}`.trim());
  return passed;
}
