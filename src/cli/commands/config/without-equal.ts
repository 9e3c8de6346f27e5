/** What kaf-mirror's `config edit` changes and no option here is: why, and what does the same. */
import { AppError } from '#contract/errors.ts';

interface Reason {
  readonly why: string;
  readonly instead: string;
}

const AS_AT_SOURCE = 'Nothing has to be set for it.';

const REASONS: Readonly<Record<string, Reason>> = {
  'server mode': {
    why: 'there is one mode: what is checked, and what is told of an error, is the same for everybody',
    instead: '"lockstep config edit logging level debug" lets the server say more.',
  },
  'replication batch-size': { why: 'batches keep the size that they have at the source', instead: AS_AT_SOURCE },
  'replication compression': {
    why: 'batches keep the compression that they have at the source',
    instead: AS_AT_SOURCE,
  },
  'replication parallelism': {
    why: 'partitions are copied side by side',
    instead: 'Where one process is not enough, start more of them: "lockstep worker".',
  },
  'replication discovery-interval': {
    why: 'how often new topics are looked for is said by each job',
    instead: '"lockstep jobs edit NAME --refresh-ms 300000" sets it to five minutes.',
  },
};

/** Throws REQUEST_INVALID where the words are those of kaf-mirror. */
export function refuseWithoutEqual(section: string, name: string | undefined): void {
  const words = name === undefined ? section : `${section} ${name.replaceAll('_', '-')}`;
  const reason = Object.hasOwn(REASONS, words) ? REASONS[words] : undefined;
  if (reason !== undefined)
    throw new AppError('REQUEST_INVALID', `"config edit ${words}" has no equal: ${reason.why}`, {
      nextStep: reason.instead,
    });
  if (section !== 'replication') return;
  const reasons = Object.entries(REASONS).flatMap(([key, { why }]) =>
    key.startsWith('replication ') ? [`${key.slice('replication '.length)}: ${why}`] : [],
  );
  throw new AppError('REQUEST_INVALID', `there are no options for replication; ${reasons.join('; ')}`, {
    nextStep: '"lockstep jobs edit --help" shows what each job says.',
  });
}
