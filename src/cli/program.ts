/** The tree of commands: parses, hands over to one file per verb, and turns whatever comes out into an exit code. */
import { Command, CommanderError } from 'commander';
import { AppError } from '#contract/errors.ts';
import { listClusters } from './commands/clusters/list.ts';
import { checkConfig } from './commands/config/check.ts';
import { configure } from './commands/config/configure.ts';
import { editConfig } from './commands/config/edit.ts';
import { getConfig } from './commands/config/get.ts';
import { setConfig } from './commands/config/set.ts';
import { doctor } from './commands/doctor.ts';
import { configureClient } from './commands/tls/configure-client.ts';
import { generateCerts } from './commands/tls/generate-certs.ts';
import { importCert } from './commands/tls/import-cert.ts';
import { verifyTls } from './commands/tls/verify.ts';
import { ledger } from './commands/ledger.ts';
import { completion } from './commands/completion.ts';
import { drill } from './commands/drill.ts';
import { failback } from './commands/failback.ts';
import { failover } from './commands/failover.ts';
import { verifyLogEntry } from './commands/log/entry.ts';
import { verifyLogReport } from './commands/log/report.ts';
import { verifyAuditLog } from './commands/log/verify.ts';
import { migrateKafMirror } from './commands/migrate/kaf-mirror.ts';
import { migrateMm2 } from './commands/migrate/mm2.ts';
import { migrateStrimzi } from './commands/migrate/strimzi.ts';
import { plan } from './commands/plan.ts';
import { rebuild } from './commands/rebuild.ts';
import { run } from './commands/run.ts';
import { getTopic } from './commands/topics/get.ts';
import { listTopics } from './commands/topics/list.ts';
import { validate } from './commands/validate.ts';
import { verify } from './commands/verify.ts';
import type { Context } from './context.ts';
import { commandTreeOf } from './completion/command-tree.ts';
import { exitCodes } from './exit-codes.ts';
import { reportError } from './report-error.ts';
import type { Verb } from './verb.ts';

/** Runs one command line, without the name of the program, and returns its exit code. Throws nothing. */
export async function runCommandLine(argv: readonly string[], context: Context): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = createProgram(context, (code) => (exitCode = code));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return reportError(context.io, error, { json: argv.includes('--json') });
  }
}

function createProgram(context: Context, exit: (code: number) => void): Command {
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
  const clusters = addNoun(program, 'clusters', 'look at the clusters of the files', listClusters);
  const topics = addNoun(program, 'topics', 'look at the topics of a cluster', listTopics);
  const config = addNoun(program, 'config', 'the options of the processes: file, environment, defaults', checkConfig);
  const tls = addNoun(program, 'tls', 'certificates of servers and clients', generateCerts);
  const log = addNoun(program, 'log', 'verify the audit log, offline', verifyAuditLog);
  const migrations = addNoun(program, 'migrate', 'turn the files of another mirror into resources', migrateMm2);
  const verbs: [Command, string, Verb<never>][] = [
    [program, 'validate', validate],
    [program, 'plan', plan],
    [program, 'run', run],
    [program, 'verify', verify],
    [program, 'rebuild <topic>', rebuild],
    [program, 'ledger <topic>', ledger],
    [program, 'failover', failover],
    [program, 'failback', failback],
    [program, 'drill', drill],
    [clusters, 'list', listClusters],
    [topics, 'list', listTopics],
    [topics, 'get <name>', getTopic],
    [config, 'check', checkConfig],
    [config, 'get [key]', getConfig],
    [config, 'set <key> [value...]', setConfig],
    [config, 'edit <section> [words...]', editConfig],
    [config, 'configure', configure],
    [program, 'doctor', doctor],
    [tls, 'generate-certs', generateCerts],
    [tls, 'import-cert', importCert],
    [tls, 'configure-client', configureClient],
    [tls, 'verify <address>', verifyTls],
    [log, 'verify <directory>', verifyAuditLog],
    [log, 'entry <file>', verifyLogEntry],
    [log, 'report <file>', verifyLogReport],
    [migrations, 'mm2 <file...>', migrateMm2],
    [migrations, 'strimzi <file...>', migrateStrimzi],
    [migrations, 'kaf-mirror <file...>', migrateKafMirror],
    [program, 'completion <shell>', completion(() => commandTreeOf(program))],
  ];
  for (const [parent, name, verb] of verbs) addVerb(parent, name, verb, context, exit);
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

function addNoun(program: Command, name: string, description: string, shown: Verb<never>): Command {
  const noun = program.command(name).description(description).helpCommand(false);
  return noun.exitOverride(failUsage(`lockstep ${name}`)).addHelpText('after', examples(shown.examples));
}

function addVerb(
  parent: Command,
  name: string,
  verb: Verb<never>,
  context: Context,
  exit: (code: number) => void,
): void {
  const command = parent
    // `lockstep topics -f FILE` lists them.
    .command(name, { isDefault: name === 'list' })
    .exitOverride(failUsage(`${pathOf(parent)} ${name.replace(/ .*/, '')}`))
    .summary(verb.summary)
    .description(verb.description ?? verb.summary);
  if (verb.takesFiles !== false)
    command.requiredOption('-f, --file <file...>', 'YAML files with Cluster, Mirror and Verify documents');
  for (const [flags, description] of Object.entries(verb.options)) command.option(flags, description);
  if (verb.choices) command.registeredArguments[0]?.choices(verb.choices);
  command.option('--json', 'print JSON for machines');
  command.addHelpText('after', examples(verb.examples));
  command.action(async () => {
    // Commander knows options by name only; each verb states the type of its own beside the table that produces them.
    exit(await verb.run(context, command.opts(), command.args[0] ?? '', command.args));
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
