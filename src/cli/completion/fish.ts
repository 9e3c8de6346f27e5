/** Completion for fish: a line for each thing that can follow, under the condition that the words lead to its command. */
import { nodesOf, type CommandNode, type OptionNode, type ValueKind } from './command-tree.ts';

export function fishCompletion(tree: CommandNode): string {
  const { name } = tree;
  const nodes = nodesOf(tree);
  const paths = nodes.slice(1).map(({ path }) => quoted(path));
  const valued = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) => (value === null ? [] : flags.map((flag) => quoted(`${path} ${flag}`)))),
  );
  return `# Completion of ${name} for fish:
#   ${name} completion fish | source
# or keep it: ${name} completion fish > ~/.config/fish/completions/${name}.fish

# Whether the words lead to the command; values of options are none of them.
function __${name}_at
    set -l at ${quoted(name)}
    set -l before ''
    for word in (commandline -opc)[2..-1]
        switch "$at $before"
            case ${valued.join(' ')}
            case '*'
                switch "$at $word"
                    case ${paths.join(' ')}
                        set at "$at $word"
                end
        end
        set before $word
    end
    test "$at" = "$argv[1]"
end

complete -c ${name} -f
${nodes.flatMap((node) => linesOf(name, node)).join('\n')}
`;
}

function linesOf(program: string, { path, options, argument, commands }: CommandNode): string[] {
  const start = `complete -c ${program} -n ${quoted(`__${program}_at ${quoted(path)}`)}`;
  return [
    ...commands.map(({ name, summary }) => `${start} -a ${quoted(name)} -d ${quoted(summary)}`),
    ...(argument === null ? [] : argumentLines(start, argument)),
    ...options.map((option) => `${start}${optionText(option)}`),
  ];
}

function argumentLines(start: string, argument: ValueKind): string[] {
  if (argument.kind === 'text') return [];
  return argument.kind === 'file' ? [`${start} -F`] : [`${start} -a ${quoted(argument.choices.join(' '))}`];
}

function optionText({ flags, description, value }: OptionNode): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`)).join('');
  const what =
    value === null
      ? ''
      : value.kind === 'file'
        ? ' -r -F'
        : value.kind === 'text'
          ? ' -x'
          : ` -x -a ${quoted(value.choices.join(' '))}`;
  return `${names}${what} -d ${quoted(description)}`;
}

/** In fish a single quote and a backslash are escaped within single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
