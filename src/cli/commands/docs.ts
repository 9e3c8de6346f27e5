import { printableJson } from '#util/printable.ts';
import type { Noun } from '../process-commands.ts';
import { formatCommands } from '../docs-page.ts';
import { exitCodes } from '../exit-codes.ts';
import { writeFile } from '../files.ts';
import type { Verb } from '../verb.ts';

interface Options {
  readonly file?: string;
  readonly json?: true;
}

/** `nouns`: the commands of the program that this one is part of. */
export function generateDocs(nouns: () => readonly Noun[]): Verb<Options> {
  return {
    summary: 'write one page of Markdown with all commands',
    examples: ['lockstep docs generate --file commands.md', 'lockstep docs generate | less'],
    options: { '--file <file>': 'where to; without it standard output' },
    takesFiles: false,
    async run({ io, host }, { file, json }) {
      const page = formatCommands(nouns());
      if (file !== undefined) writeFile(host.disk, file, page);
      if (json) io.out(`${printableJson(file === undefined ? { page } : { file })}\n`);
      else io.out(file === undefined ? page : `written to ${file}\n`);
      return exitCodes.ok;
    },
  };
}
