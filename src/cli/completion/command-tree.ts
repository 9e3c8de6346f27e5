/** The commands as data, read from the program itself: what completes them cannot fall behind. */
import type { Argument, Command, Option } from 'commander';

export interface CommandNode {
  /** All words, from the program's name on. */
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionNode[];
  /** What stands where a word is no option and no command; null: nothing. */
  readonly argument: ValueKind | null;
  readonly commands: readonly CommandNode[];
}

export interface OptionNode {
  /** `-f`, `--file` */
  readonly flags: readonly string[];
  readonly description: string;
  /** Null: it takes no value. */
  readonly value: ValueKind | null;
}

export type ValueKind =
  | { readonly kind: 'file' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** Nothing that could be proposed. */
  | { readonly kind: 'text' };

export function commandTreeOf(program: Command): CommandNode {
  return nodeOf(program, program.name());
}

/** The node and all below it. */
export function nodesOf(tree: CommandNode): CommandNode[] {
  return [tree, ...tree.commands.flatMap(nodesOf)];
}

function nodeOf(command: Command, path: string): CommandNode {
  const [argument] = command.registeredArguments;
  return {
    path,
    name: command.name(),
    summary: command.summary() || command.description(),
    options: [...command.options.map(optionOf), HELP],
    argument: argument === undefined ? null : argumentOf(argument),
    commands: command.commands.map((each) => nodeOf(each, `${path} ${each.name()}`)),
  };
}

/** Commander adds it by itself, and does not list it. */
const HELP: OptionNode = { flags: ['-h', '--help'], description: 'print this help', value: null };

function optionOf({ short, long, description, flags, argChoices }: Option): OptionNode {
  const [, placeholder] = /<([^>.]+)/.exec(flags) ?? [];
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    description,
    value: placeholder === undefined ? null : kindOf(placeholder, argChoices),
  };
}

function argumentOf(argument: Argument): ValueKind {
  return kindOf(argument.name(), argument.argChoices);
}

function kindOf(placeholder: string, choices: readonly string[] | undefined): ValueKind {
  if (choices !== undefined) return { kind: 'choice', choices };
  return /^(?:file|dir|directory|folder|path)$/.test(placeholder) ? { kind: 'file' } : { kind: 'text' };
}
