/** The tree of commands: parses, hands over to one file per verb, and turns whatever comes out into an exit code. */
import { Command, CommanderError } from 'commander';
import { AppError } from '#contract/errors.ts';
import { nearest } from '#util/nearest.ts';
import type { Context } from './context.ts';
import { commandTreeOf, type CommandNode } from './completion/command-tree.ts';
import { exitCodes } from './exit-codes.ts';
import { processCommands, type Noun } from './process-commands.ts';
import { reportError } from './report-error.ts';
import { JSON_OPTION, RESOURCE_FILES, RESOURCE_FILES_OR_SERVER, type Verb } from './verb.ts';

/** Runs one command line, without the name of the program, and returns its exit code. Throws nothing. */
export async function runCommandLine(argv: readonly string[], context: Context): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const [first = ''] = argv;
  const nouns = Object.hasOwn(processCommands.verbs, first)
    ? () => [processCommands]
    : (await import('./command-table.ts')).commandTable;
  const program = createProgram(context, { nouns, exit: (code) => (exitCode = code) });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return reportError(context.io, error, { json: argv.includes('--json') });
  }
}

function createProgram(
  context: Context,
  {
    nouns,
    exit,
  }: { readonly nouns: (tree: () => CommandNode) => readonly Noun[]; readonly exit: (code: number) => void },
): Command {
  const { io } = context;
  const program = new Command('lockstep')
    .description('Keeps Kafka clusters in lockstep, and proves it.')
    .version(context.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride(failUsage('lockstep'))
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // Reported by reportUsage, like every other error.
      outputError: () => {},
      getOutHelpWidth: () => io.columns(),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const { name, description, verbs } of nouns(() => commandTreeOf(program))) {
    const parent = name === null ? program : addNoun(program, name, description, verbs);
    for (const [spec, verb] of Object.entries(verbs)) {
      const [, group, own = spec] = /^([a-z-]+) ([a-z].*)$/.exec(spec) ?? [];
      addVerb(group === undefined ? parent : groupOf(parent, group), own, verb, context, exit);
    }
  }
  const lines = [
    'lockstep validate -f link.yaml',
    'lockstep plan -f link.yaml',
    'lockstep run -f link.yaml --until caught-up',
    'lockstep verify -f link.yaml',
  ];
  program.addHelpText('after', `${examples(lines)}\nExit codes: ${EXIT_CODES}.`);
  return program;
}

const EXIT_CODES =
  '0 ok, 1 failed, 2 usage, 3 changes pending, 4 not allowed, 5 findings or incidents, 130 interrupted';

function addNoun(program: Command, name: string, description: string, verbs: Noun['verbs']): Command {
  const noun = program.command(name).description(description).helpCommand(false);
  const shown = Object.values(verbs).flatMap((verb) => verb.examples.slice(0, 1));
  return noun
    .exitOverride(failUsage(`lockstep ${name}`))
    .addHelpText('after', examples(shown.slice(0, EXAMPLES_OF_NOUN)));
}

const EXAMPLES_OF_NOUN = 4;

/** `admin users`: verbs of a noun that have a word in common. */
function groupOf(noun: Command, name: string): Command {
  const known = noun.commands.find((each) => each.name() === name);
  if (known) return known;
  const group = noun.command(name).description(`${noun.name()} ${name}`).helpCommand(false);
  return group.exitOverride(failUsage(`${pathOf(noun)} ${name}`));
}

function addVerb(
  parent: Command,
  name: string,
  verb: Verb<never>,
  context: Context,
  exit: (code: number) => void,
): void {
  // `lockstep topics -f FILE` lists them. What a list takes as its argument could not be told from a mistyped verb.
  const isDefault = name === 'list' && parent.parent !== null;
  const command = parent
    .command(name, { isDefault })
    .allowExcessArguments(isDefault)
    .exitOverride(failUsage(`${pathOf(parent)} ${name.replace(/ .*/, '')}`))
    .summary(verb.summary)
    .description(verb.description ?? verb.summary);
  const files: Readonly<Record<string, string>> =
    verb.takesFiles === 'optional' ? RESOURCE_FILES_OR_SERVER : verb.takesFiles === false ? {} : RESOURCE_FILES;
  for (const [flags, description] of Object.entries(files))
    if (verb.takesFiles === 'optional') command.option(flags, description);
    else command.requiredOption(flags, description);
  for (const [flags, description] of Object.entries({ ...verb.options, ...JSON_OPTION }))
    command.option(flags, description);
  if (verb.choices) command.registeredArguments[0]?.choices(verb.choices);
  command.addHelpText('after', examples(verb.examples));
  for (const alias of verb.aliases ?? []) command.alias(alias);
  command.action(async () => {
    if (isDefault && command.args[0] !== undefined) throw unknownVerb(parent, command.args[0]);
    // Commander knows options by name only; each verb states the type of its own beside the table that produces them.
    exit(await verb.run(context, command.opts(), command.args[0] ?? '', command.args));
  });
}

function unknownVerb(noun: Command, word: string): AppError {
  const near = nearest(
    word,
    noun.commands.map((each) => each.name()),
  );
  const path = pathOf(noun);
  const meant = near === null ? '' : `; did you mean "${near}"?`;
  return new AppError('REQUEST_INVALID', `there is no command "${path} ${word}"${meant}`, {
    nextStep: `"${path} --help" shows those that there are.`,
  });
}

/** What commander complains about, as an error like every other; help and version, which it ends with 0, stay its own. */
function failUsage(command: string): (error: CommanderError) => never {
  return (error) => {
    // The help was printed for want of a command: nothing is left to say.
    if (error.exitCode === 0 || error.code === 'commander.help') throw error;
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
    throw new AppError('REQUEST_INVALID', message, { nextStep: `"${command} --help" shows what can be written.` });
  };
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
