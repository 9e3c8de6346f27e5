/**
 * argon2id through Node's own OpenSSL. At most so many hashes are made at a time, for each takes 46 MiB and a core for 50 ms;
 * so many more may wait, and beyond that a login is turned away at once: a flood of logins must not stop the server.
 */
import { argon2, timingSafeEqual } from 'node:crypto';
import { AppError } from '#contract/errors.ts';
import { assert } from '#util/assert.ts';
import type { Entropy, PasswordHash } from '../ports.ts';

/** OWASP's first choice; less is never taken. */
const MEMORY_KIB_MIN = 46 * 1024;
const PARALLEL_MAX = 2;
const WAITING_MAX = 100;
const TAG_BYTES = 32;
const SALT_BYTES = 16;

interface Cost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

export function createPasswordHash({
  entropy,
  memoryKib = MEMORY_KIB_MIN,
}: {
  readonly entropy: Entropy;
  readonly memoryKib?: number;
}): PasswordHash {
  assert(memoryKib >= MEMORY_KIB_MIN, `password hashes take at least ${MEMORY_KIB_MIN} KiB`);
  const cost: Cost = { memoryKib, passes: 1, lanes: 1 };
  const gate = createGate();
  return {
    async hash(password) {
      const salt = entropy.bytes(SALT_BYTES);
      return formatPhc(cost, salt, await gate(() => tagOf(password, salt, cost)));
    },
    async verify(phc, password) {
      const { cost: then, salt, tag } = parsePhc(phc);
      const found = await gate(() => tagOf(password, salt, then, tag.length));
      const isWeak = then.memoryKib < cost.memoryKib || then.passes < cost.passes;
      return { isRight: timingSafeEqual(found, tag), isWeak };
    },
  };
}

function tagOf(password: string, salt: Uint8Array, cost: Cost, tagLength = TAG_BYTES): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    argon2(
      'argon2id',
      {
        // Two spellings of one letter are one password (NIST SP 800-63B 3.1.1.2).
        message: password.normalize('NFC'),
        nonce: salt,
        parallelism: cost.lanes,
        memory: cost.memoryKib,
        passes: cost.passes,
        tagLength,
      },
      (error, tag) => (error ? reject(error) : resolve(tag)),
    );
  });
}

function createGate(): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= PARALLEL_MAX) {
      if (waiting.length >= WAITING_MAX)
        throw new AppError('SERVER_BUSY', 'Too many people sign in at this moment.', {
          nextStep: 'Try again in a few seconds.',
        });
      await new Promise<void>((resolve) => waiting.push(resolve)); // whoever ends hands its place over
    } else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

/** https://github.com/P-H-C/phc-string-format */
function formatPhc({ memoryKib, passes, lanes }: Cost, salt: Uint8Array, tag: Uint8Array): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${base64(salt)}$${base64(tag)}`;
}

function parsePhc(phc: string): { cost: Cost; salt: Uint8Array; tag: Uint8Array } {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(phc);
  assert(match, 'a stored password hash is argon2id');
  const [, memory, passes, lanes, salt = '', tag = ''] = match;
  return {
    cost: { memoryKib: Number(memory), passes: Number(passes), lanes: Number(lanes) },
    salt: Buffer.from(salt, 'base64'),
    tag: Buffer.from(tag, 'base64'),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
