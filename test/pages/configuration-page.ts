import { flagOf, isSettable, optionKeys, type OptionKey, rowOf, variableOf } from '#contract/options.ts';

const SECTIONS: Readonly<Record<string, string>> = {
  server: 'Server',
  database: 'Database',
  backups: 'Backups',
  secrets: 'Secrets',
  audit: 'Audit log',
  auth: 'Sign-in',
  inventory: 'Inventory',
  logging: 'Logging',
  compliance: 'Compliance reports',
  monitoring: 'Monitoring',
  client: 'Client',
};

const HEAD = `# Configuration

Options of Lockstep's processes. What is copied, and between which clusters, is no option: that stands in
[resources](resources.md). This page is made from the one table that also gives flags, environment variables, help and
validation (\`src/contract/options.ts\`); \`npm run gen\` writes it.

An option may stand in three places. A flag goes before the environment, that before the file, that before the default:

\`\`\`
lockstep run -f link.yaml --metrics 9464                       # a flag
LOCKSTEP_MONITORING_LISTEN=9464 lockstep run -f link.yaml      # the environment
lockstep run -f link.yaml --config lockstep.yaml               # a file; LOCKSTEP_CONFIG names it too
\`\`\`

\`\`\`yaml
monitoring:
  listen: 127.0.0.1:9464
  splunk:
    hecEndpoint: https://splunk.example:8088
    hecToken: { file: /run/secrets/hec-token } # where it stands, never what it is
\`\`\`

- An unknown key, and an environment variable that begins like an option and is none, is an error with the nearest known name.
- A secret is a reference, \`{ env: NAME }\` or \`{ file: PATH }\`; behind a flag \`env:NAME\` or \`file:PATH\`. The environment
  variable of a secret option holds the secret itself. It is read at each use, and never shown.
- Lists are written with commas in flags and variables. Durations are a number and \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`.
- Keys may be written as kaf-mirror wrote them, with underscores (\`hec_endpoint\`).
- Where *Holds* says *at once*, a server reads a changed file again without a restart; the rest holds after one.
- What is set over the API is stored in the server's database. It goes before the file and behind flags and the environment: what
  those fix is refused there, so that nothing is set without effect. *Not over the API* are options that are needed before the
  database is open, those that say where a secret stands, and those that say who vouches for people and for which role.

| Command | Does |
|---|---|
| \`lockstep config check [-f FILE]\` | validates file and environment: file, line, column, nearest name; shows what holds and where it comes from |
| \`lockstep config get [KEY]\` | what holds: all of it, or one value |
| \`lockstep config set KEY VALUE\` | changes one value in the file; comments and order stay. \`--default\` takes it out |
| \`lockstep config edit SECTION [NAME VALUE]\` | the same within a section; without a name it asks, where there is somebody at a terminal |
| \`lockstep config configure\` | asks for what a first set-up needs |

Without \`-f\` they use the file that LOCKSTEP_CONFIG names, else \`lockstep.yaml\`. A change that would not be valid is not written.
`;

/** docs/configuration.md. */
export function formatConfiguration(): string {
  const groups = [...new Set(optionKeys.map((key) => key.split('.')[0] ?? ''))];
  const sections = groups.map((group) => {
    const keys = optionKeys.filter((key) => key.startsWith(`${group}.`));
    return `## ${SECTIONS[group] ?? group}\n\n${keys.map(formatOption).join('\n')}`;
  });
  return `${[HEAD, ...sections].join('\n')}`;
}

function formatOption(key: OptionKey): string {
  const { type, description, readers, isHot } = rowOf(key);
  const flag = flagOf(key);
  const facts = [
    `- Value: ${escape(type.shown)}. Default: ${shownDefault(key)}.`,
    `- Variable \`${variableOf(key)}\`${flag === null ? '' : `, flag \`${flag}\``}. Read by ${readers.join(', ')}. Holds ${isHot ? 'at once' : 'after a restart'}.${isSettable(key) || !readers.includes('serve') ? '' : ' Not over the API.'}`,
  ];
  return `### \`${key}\`\n\n${description}\n\n${facts.join('\n')}\n`;
}

function shownDefault(key: OptionKey): string {
  const { type, default: value } = rowOf(key);
  if (value === null) return 'none';
  if (Array.isArray(value) && value.length === 0) return 'an empty list';
  return `\`${String(type.toFile(value))}\``;
}

/** Braces and angles mean something to some renderers. */
function escape(text: string): string {
  return text.replace(/[<>|]/g, '\\$&');
}
