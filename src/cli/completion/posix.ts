/**
 * Completion for bash and zsh. Both walk the words in front of the cursor to the command that they name, leave out the values of
 * options, and then propose what that command takes.
 */
import { nodesOf, type CommandNode, type ValueKind } from './command-tree.ts';

export function bashCompletion(tree: CommandNode): string {
  const nodes = nodesOf(tree);
  return `# Completion of ${tree.name} for bash 4 and newer:
#   source <(${tree.name} completion bash)
# or keep it: ${tree.name} completion bash > ~/.local/share/bash-completion/completions/${tree.name}

${walker(tree, nodes)}
_${tree.name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" at value words=""
  at="$(_${tree.name}_at "\${COMP_WORDS[@]:1:COMP_CWORD-1}")"
  value="$(_${tree.name}_value "$at" "$previous")"
  [[ "$current" != -* && -z "$value" ]] && value="$(_${tree.name}_argument "$at")"
  COMPREPLY=()
  case "$value" in
    file)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      compopt -o filenames 2> /dev/null
      ;;
    text) ;;
    choice:*) words="\${value#choice:}" ;;
    *) words="$(_${tree.name}_words "$at" "$current")" ;;
  esac
  [[ -n "$words" ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  return 0
}

complete -F _${tree.name} ${tree.name}
`;
}

export function zshCompletion(tree: CommandNode): string {
  const nodes = nodesOf(tree);
  return `#compdef ${tree.name}
# Completion of ${tree.name} for zsh:
#   source <(${tree.name} completion zsh)
# or keep it, in a folder of $fpath: ${tree.name} completion zsh > _${tree.name}

${walker(tree, nodes)}
_${tree.name}() {
  local current="\${words[CURRENT]}" previous="\${words[CURRENT-1]}" at value
  at="$(_${tree.name}_at "\${(@)words[2,CURRENT-1]}")"
  value="$(_${tree.name}_value "$at" "$previous")"
  [[ "$current" != -* && -z "$value" ]] && value="$(_${tree.name}_argument "$at")"
  case "$value" in
    file) _files ;;
    text) ;;
    choice:*) compadd -- \${=value#choice:} ;;
    *) compadd -- \${=$(_${tree.name}_words "$at" "$current")} ;;
  esac
}

if [[ "$funcstack[1]" == "_${tree.name}" ]]; then
  _${tree.name} "$@"
else
  compdef _${tree.name} ${tree.name}
fi
`;
}

/** Functions that both shells understand. */
function walker({ name }: CommandNode, nodes: readonly CommandNode[]): string {
  const below = nodes.slice(1).map(({ path }) => quoted(path));
  const values = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) =>
      value === null
        ? []
        : [`    ${flags.map((flag) => quoted(`${path} ${flag}`)).join('|')}) echo ${quoted(textOf(value))} ;;`],
    ),
  );
  const args = nodes.flatMap(({ path, argument }) =>
    argument === null ? [] : [`    ${quoted(path)}) echo ${quoted(textOf(argument))} ;;`],
  );
  const words = nodes.map(({ path, options, commands }) => {
    const flags = options.flatMap((option) => option.flags.filter((flag) => flag.startsWith('--')));
    return `    ${quoted(path)}) if [[ "$2" == -* ]]; then echo ${quoted(flags.join(' '))}; else echo ${quoted(
      (commands.length > 0 ? commands.map((each) => each.name) : flags).join(' '),
    )}; fi ;;`;
  });
  return `# The command that the words lead to.
_${name}_at() {
  local at=${quoted(name)} before="" word
  for word in "$@"; do
    if [[ -z "$(_${name}_value "$at" "$before")" ]]; then
      case "$at $word" in
        ${below.join(' | ')}) at="$at $word" ;;
      esac
    fi
    before="$word"
  done
  echo "$at"
}

# What follows an option: file, text, "choice:…", or nothing.
_${name}_value() {
  case "$1 $2" in
${values.join('\n')}
  esac
}

# What a command takes as its argument.
_${name}_argument() {
  case "$1" in
${args.join('\n')}
  esac
}

# What else can stand there: commands, or options.
_${name}_words() {
  case "$1" in
${words.join('\n')}
  esac
}
`;
}

function textOf(value: ValueKind): string {
  return value.kind === 'choice' ? `choice:${value.choices.join(' ')}` : value.kind;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
