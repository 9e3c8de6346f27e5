import type { Check } from '#contract/check.ts';

/** Releases with the security fixes of October 2026, by major version: what is older talks TLS with known holes. */
const NODE_FLOORS: Readonly<Record<number, readonly [number, number]>> = { 24: [22, 1], 26: [12, 1] };
/** A connection per broker and direction, a few files: what a large estate takes many times over. */
const OPEN_FILES_MIN = 4096;

const MACHINE = 'this machine';

/** `version` as Node says it: v24.22.1 */
export function checkNode(version: string): Check {
  const [major = 0, minor = 0, patch = 0] = version.replace(/^v/, '').split('.').map(Number);
  const floor = NODE_FLOORS[major];
  const isBelow = floor !== undefined && (minor < floor[0] || (minor === floor[0] && patch < floor[1]));
  const base = { subject: MACHINE, what: 'Node', found: version };
  if (isBelow)
    return {
      ...base,
      verdict: 'warning',
      nextStep: `Run on ${major}.${floor.join('.')} or newer: older ones have known holes in TLS and name checks.`,
    };
  return { ...base, verdict: 'ok', nextStep: null };
}

/** `limits`: the text of /proc/self/limits; null where the system has none. */
export function checkOpenFiles(limits: string | null): Check {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? '')?.[1];
  const base = { subject: MACHINE, what: 'open files' };
  if (soft === undefined)
    return { ...base, verdict: 'unknown', found: 'the limit cannot be read here', nextStep: null };
  if (soft !== 'unlimited' && Number(soft) < OPEN_FILES_MIN)
    return {
      ...base,
      verdict: 'warning',
      found: `at most ${soft}`,
      nextStep: `Raise it to ${OPEN_FILES_MIN} or more: ulimit -n, or LimitNOFILE= of the systemd unit.`,
    };
  return { ...base, verdict: 'ok', found: soft === 'unlimited' ? soft : `at most ${soft}`, nextStep: null };
}
