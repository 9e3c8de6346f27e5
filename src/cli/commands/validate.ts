import { AppError, errorCodes } from '#contract/errors.ts';
import { printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readDocuments } from '../files.ts';
import { formatNumberOf } from '../format.ts';
import type { Verb } from '../verb.ts';

export const validate: Verb<CommonOptions> = {
  summary: 'check files without contacting a cluster',
  description:
    'Checks files without contacting a cluster: every problem with file, line and column, and the nearest known word.\n\nExit code 2 where there is one.',
  examples: ['lockstep validate -f link.yaml', 'lockstep validate -f clusters.yaml -f mirrors.yaml --json'],
  options: {},
  async run({ io, host }, options) {
    try {
      const { clusters, mirrors, verifications } = readDocuments(host.disk, options.file);
      const names = {
        clusters: clusters.map((each) => each.metadata.name),
        mirrors: mirrors.map((each) => each.metadata.name),
        verifications: verifications.map((each) => each.metadata.name),
      };
      const counts = [
        formatNumberOf(clusters.length, 'cluster'),
        formatNumberOf(mirrors.length, 'mirror'),
        ...(verifications.length === 0 ? [] : [formatNumberOf(verifications.length, 'verification')]),
      ];
      if (options.json) io.out(`${printableJson({ valid: true, ...names, problems: [] })}\n`);
      else io.out(`${io.style('green', 'valid')}: ${counts.join(', ')}\n`);
      return exitCodes.ok;
    } catch (error) {
      const problems = error instanceof AppError ? error.details['problems'] : undefined;
      if (!options.json || !(error instanceof AppError) || problems === undefined) throw error;
      io.out(`${printableJson({ valid: false, code: error.code, problems })}\n`);
      return errorCodes[error.code].exit;
    }
  },
};
