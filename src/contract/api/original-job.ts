/**
 * Job bodies in the words of kaf-mirror. Its patterns are regular expressions where they hold more than a name and
 * dots, unanchored there and anchored here: that is what its documentation promised and what people meant by them.
 */
import { AppError } from '../errors.ts';

/** What asks for something that Lockstep does differently: refused by name, never ignored. */
const REFUSED: Readonly<Record<string, string>> = {
  batch_size: 'batches are passed through as the source has them',
  parallelism: 'partitions are copied side by side as far as the machine allows',
  compression: 'batches keep the compression of the source',
};

/** `body` after its top-level names were replaced; what is not in the words of kaf-mirror comes back as it is. */
export function statedFromOriginal(body: unknown): unknown {
  if (!isRecord(body)) return body;
  const { preserve_partitions: preserves, ...stated } = body;
  for (const [name, why] of Object.entries(REFUSED)) {
    if (name in stated) throw refused(name, why);
  }
  if (preserves !== undefined && preserves !== true) throw refused('preserve_partitions', 'partitions are always kept');
  return Array.isArray(stated['topics']) ? { ...stated, topics: stated['topics'].flatMap(toRule) } : stated;
}

function refused(name: string, why: string): AppError {
  return new AppError('REQUEST_INVALID', `"${name}" is not a setting here: ${why}.`, {
    nextStep: 'Leave it out.',
  });
}

/** A mapping that is not enabled makes no rule. */
function toRule(mapping: unknown): unknown[] {
  if (!isRecord(mapping)) return [mapping];
  const { source_topic_pattern: source, target_topic_pattern: target, enabled, ...rest } = mapping;
  if (typeof source !== 'string') return [mapping];
  if (enabled === false) return [];
  const isName = /^[\w.-]+$/.test(source);
  return [
    {
      ...rest,
      match: isName ? source : `/^(?:${source})$/`,
      ...(typeof target === 'string' && target !== '' ? { to: target } : {}),
    },
  ];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
