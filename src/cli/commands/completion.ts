import { printableJson } from '#util/printable.ts';
import { AppError } from '#contract/errors.ts';
import type { CommandNode } from '../completion/command-tree.ts';
import { fishCompletion } from '../completion/fish.ts';
import { bashCompletion, zshCompletion } from '../completion/posix.ts';
import { powershellCompletion } from '../completion/powershell.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Verb } from '../verb.ts';

interface Options {
  readonly json?: true;
}

const SHELLS: Readonly<Record<string, (tree: CommandNode) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
  powershell: powershellCompletion,
};

/** `tree`: the commands of the program that this one is part of. */
export function completion(tree: () => CommandNode): Verb<Options> {
  return {
    summary: 'print what completes commands in a shell',
    description:
      'Prints a script by which a shell completes commands, options and files. It is made from the commands of this version: print it again after an update.',
    examples: [
      'lockstep completion bash > ~/.local/share/bash-completion/completions/lockstep',
      'source <(lockstep completion zsh)',
      'lockstep completion fish > ~/.config/fish/completions/lockstep.fish',
      'lockstep completion powershell | Out-String | Invoke-Expression',
    ],
    takesFiles: false,
    choices: Object.keys(SHELLS),
    options: {},
    async run({ io }, { json }, shell) {
      const write = SHELLS[shell];
      if (!write) throw new AppError('REQUEST_INVALID', `there is no completion for "${shell}"`);
      io.out(json ? `${printableJson({ shell, script: write(tree()) })}\n` : write(tree()));
      return exitCodes.ok;
    },
  };
}
