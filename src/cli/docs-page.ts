/** docs/cli.md: every command with its options and examples, from the table that the program is made of. */
import type { Noun } from './process-commands.ts';
import { SERVER_OPTIONS } from './remote/server-choice.ts';
import { RESOURCE_FILES, RESOURCE_FILES_OR_SERVER } from './verb.ts';
import type { Verb } from './verb.ts';

const INTRO = `# Commands

Made by \`lockstep docs generate\` (and \`npm run gen\`) from the commands themselves. \`lockstep COMMAND --help\` says the same.

Commands with \`-f FILE\` work on files and clusters, and need no server. All others ask a server through its API
([api.md](api.md)); some do either: without \`-f\` they ask the server.

## Which server, and as whom

\`\`\`
lockstep context add prod https://lockstep.example:8443 --ca ca.pem   # remembers a server, and uses it from now on
lockstep login ada                                                    # asks for the password; keeps a session of 12 hours, unless the server says otherwise
lockstep jobs list
\`\`\`

What stands first counts: \`--server\` or \`--context\`, then \`LOCKSTEP_SERVER\`, then \`LOCKSTEP_CONTEXT\`, then the context in use
(\`lockstep context use\`), then \`client.url\` of the options ([configuration.md](configuration.md#client)). \`LOCKSTEP_TOKEN\`, an API
token, goes before what a context keeps.

Contexts are in \`$XDG_CONFIG_HOME/lockstep/contexts.json\` (\`~/.config\` without that), which only its owner may read; a file that others
may read is refused. Tokens in it are never shown. Credentials go over TLS, or to this machine.

## In scripts

- Every value has a flag or an argument, and every command has \`--json\`. Commands that ask a server take \`--context NAME\` and
  \`--server ADDRESS\`. Nothing is asked unless both standard input and output are a terminal.
- Passwords are no flags: \`--password-stdin\` reads them. What cannot be undone wants \`--yes\`.
- An API token (\`lockstep tokens create --name ci --days 90 --scopes jobs:view --token-file ci.token\`) needs no password for dangerous
  actions; a session that is older than five minutes does.
- A change of what was read before (\`edit\`) is refused with RESOURCE_CHANGED where somebody else changed it meanwhile.

| Exit code | Means |
|---|---|
| 0 | ok |
| 1 | failed |
| 2 | usage: something is wrong with what was written |
| 3 | changes are pending (\`plan\`) |
| 4 | not signed in, or not allowed |
| 5 | findings or incidents |
| 130 | interrupted |

[errors.md](errors.md) explains each code of a message.
`;

export function formatCommands(nouns: readonly Noun[]): string {
  return `${INTRO}\n${nouns.map(section).join('\n')}`;
}

function section({ name, description, verbs }: Noun): string {
  const title = name === null ? description : `lockstep ${name}: ${description}`;
  return `## ${title}\n\n${Object.entries(verbs)
    .map(([spec, verb]) => command(name === null ? spec : `${name} ${spec}`, verb))
    .join('\n')}`;
}

function command(spec: string, verb: Verb<never>): string {
  const aliases = verb.aliases ? `\n\nAlso \`${verb.aliases.join('`, `')}\`.` : '';
  const own = Object.entries({ ...filesOf(verb), ...verb.options }).filter(([flags]) => !(flags in SERVER_OPTIONS));
  const rows = own.map(([flags, text]) => `| \`${cell(flags)}\` | ${cell(text)} |`);
  const asks = Object.keys(verb.options).some((flags) => flags in SERVER_OPTIONS) ? ' Asks a server.' : '';
  return `### \`lockstep ${spec}\`

${sentence(verb.description ?? verb.summary)}${asks}${aliases}
${rows.length === 0 ? '' : `\n| Option | Is |\n|---|---|\n${rows.join('\n')}\n`}
\`\`\`
${verb.examples.join('\n')}
\`\`\`
`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

function filesOf({ takesFiles }: Verb<never>): Record<string, string> {
  if (takesFiles === false) return {};
  return takesFiles === 'optional' ? RESOURCE_FILES_OR_SERVER : RESOURCE_FILES;
}

/** Angle brackets would be taken for HTML. */
function sentence(text: string): string {
  const escaped = text.replaceAll('<', '&lt;');
  const first = `${escaped.slice(0, 1).toUpperCase()}${escaped.slice(1)}`;
  return /[.!?:)]$/.test(first) ? first : `${first}.`;
}
