/** The scripts, run by the shells themselves where they are installed. */
import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { commandTreeOf, nodesOf, type CommandNode } from './command-tree.ts';
import { fishCompletion } from './fish.ts';
import { bashCompletion, zshCompletion } from './posix.ts';
import { powershellCompletion } from './powershell.ts';

function tree(): CommandNode {
  const program = new Command('lockstep').option('--version', 'print the version');
  const run = program.command('run').summary("run it, and don't stop");
  run.requiredOption('-f, --file <file...>', 'files').option('--until <goal>', 'when to end').option('--json', 'JSON');
  const topics = program.command('topics').summary('topics');
  topics.command('list').summary('all').option('--cluster <name>', 'which');
  topics.command('get').argument('<name>').summary('one');
  program.command('migrate').summary('files').argument('<file...>');
  const completion = program.command('completion').summary('shells').argument('<shell>');
  completion.registeredArguments[0]?.choices(['bash', 'zsh']);
  return commandTreeOf(program);
}

test('the tree has every command with its options and argument', () => {
  expect(nodesOf(tree()).map(({ path }) => path)).toEqual([
    'lockstep',
    'lockstep run',
    'lockstep topics',
    'lockstep topics list',
    'lockstep topics get',
    'lockstep migrate',
    'lockstep completion',
  ]);
  expect(tree().commands[0]?.options.map(({ flags, value }) => [flags.join(), value?.kind ?? null])).toEqual([
    ['-f,--file', 'file'],
    ['--until', 'text'],
    ['--json', null],
    ['-h,--help', null],
  ]);
});

/** Words of a command line, the last of which is being written → what is proposed. */
const CASES: readonly (readonly [readonly string[], readonly string[]])[] = [
  [
    ['lockstep', ''],
    ['run', 'topics', 'migrate', 'completion'],
  ],
  [['lockstep', 't'], ['topics']],
  [['lockstep', '--v'], ['--version']],
  [
    ['lockstep', 'run', '--'],
    ['--file', '--until', '--json', '--help'],
  ],
  [['lockstep', 'run', '--until', ''], []],
  [['lockstep', 'run', '--until', 'topics', '--j'], ['--json']],
  [
    ['lockstep', 'topics', ''],
    ['list', 'get'],
  ],
  [['lockstep', 'topics', 'list', '--c'], ['--cluster']],
  [['lockstep', 'topics', 'get', ''], []],
  [['lockstep', 'completion', 'z'], ['zsh']],
  [['lockstep', 'run', '-f', 'package.js'], ['package.json']],
  [['lockstep', 'migrate', 'package.js'], ['package.json']],
];

test.each(CASES)('bash: %j', (words, expected) => {
  const script = `${bashCompletion(tree())}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_lockstep
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout.split('\n').filter((line) => line !== '')).toEqual(expected);
});

function isInstalled(shell: string): boolean {
  return spawnSync(shell, ['--version']).error === undefined;
}

test.skipIf(!isInstalled('zsh'))('zsh completes as bash does', () => {
  // compadd and _files only work within the line editor: what they are given is what would be proposed.
  const script = `compdef() { :; }
compadd() { shift; print -rl -- $@; }
_files() { print -rl -- \${words[CURRENT]}*; }
${zshCompletion(tree())}
words=("$@")
CURRENT=$#
_lockstep`;
  for (const [words, expected] of CASES) {
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script, 'zsh', ...words], { encoding: 'utf8' });
    const current = words.at(-1) ?? '';
    expect(stderr).toBe('');
    expect([words, stdout.split('\n').filter((line) => line !== '' && line.startsWith(current))]).toEqual([
      words,
      expected,
    ]);
  }
});

test.skipIf(!isInstalled('fish'))('fish completes as bash does', () => {
  for (const [words, expected] of CASES) {
    const script = `${fishCompletion(tree())}\ncomplete -C '${words.join(' ')}'`;
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], { encoding: 'utf8' });
    const proposed = stdout.split('\n').flatMap((line) => line.split('\t')[0] || []);
    expect(stderr).toBe('');
    expect([words, proposed.toSorted()]).toEqual([words, expected.toSorted()]);
  }
});

test('PowerShell gets a table of all commands, with quotes that it understands', () => {
  const script = powershellCompletion(tree());
  for (const { path } of nodesOf(tree())) expect(script).toContain(`    '${path}' = @{`);
  expect(script).toContain("@{ Word = 'run'; Text = 'run it, and don''t stop' }");
  expect(script).toContain("Values = @{ '-f' = 'file'; '--file' = 'file'; '--until' = 'text' }");
});

test.skipIf(!isInstalled('pwsh'))('PowerShell completes as bash does', () => {
  // Where nothing is proposed PowerShell looks for files by itself.
  for (const [words, expected] of CASES.filter(([, each]) => each.length > 0)) {
    const line = words.join(' ');
    const script = `${powershellCompletion(tree())}\n(TabExpansion2 '${line}' ${line.length}).CompletionMatches.CompletionText`;
    const { stdout } = spawnSync('pwsh', ['-NoProfile', '-Command', script], { encoding: 'utf8' });
    const proposed = stdout.split(/\r?\n/).map((each) => each.replace(/^\.[/\\]/, ''));
    expect([words, expected.filter((each) => !proposed.includes(each))]).toEqual([words, []]);
  }
});
