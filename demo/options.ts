import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** Ends the demo after so long, with one kill -9 in the middle; null until somebody ends it. */
  readonly seconds: number | null;
  /** Alters one record on the target some seconds in. */
  readonly plant: boolean;
}

export const usage = `npm run demo                            two real Kafka clusters, live traffic, and a mirror that may be killed
npm run demo -- --plant                 alters one record on the target by itself, which the proof must find
npm run demo -- --seconds N             ends after N seconds (10 or more): kills the mirror once, compares everything,
                                        exit code 1 on any difference
`;

const SECONDS_MIN = 10;

/** Throws with one line when it does not understand. */
export function parseOptions(argv: readonly string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seconds: { type: 'string' },
      plant: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const seconds = values.seconds === undefined ? null : Number(values.seconds);
  if (seconds !== null && !(Number.isInteger(seconds) && seconds >= SECONDS_MIN)) {
    throw new Error(`--seconds must be a whole number from ${SECONDS_MIN}, not "${values.seconds}"`);
  }
  return { seconds, plant: values.plant };
}
