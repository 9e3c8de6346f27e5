/**
 * How much memory a decoded answer holds for each of its bytes, at worst: an answer of nothing but the smallest elements, for
 * which an object each is kept. No length or count decides it, only bytes that have come, and the reader refuses more than
 * one element for 8 bytes in answers of any size.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { decodeFetch } from '#kafka/fetch.ts';
import { decodeProduce } from '#kafka/produce.ts';
import { Reader } from '#kafka/protocol/reader.ts';
import { createRandom } from '#util/random.ts';
import { fetchBody, produceBody } from '../broker-frames.ts';
import { generatedApis } from '../golden-frames.ts';
import { inventFrame } from './inventing-reader.ts';

/** Below what the reader lets pass whatever the size. */
const FRAME_BYTES = 40 * 1024;
const BYTES_PER_ELEMENT_MIN = 8;
/** Held at the same time, so that what else lies in the heap does not count. */
const TIMES = 10;

interface Case {
  readonly name: string;
  readonly frame: Buffer;
  readonly decode: (reader: Reader) => unknown;
}

/** Bytes of heap for each byte of the answer, by API, the largest first. */
export async function objectRatios(): Promise<readonly { readonly name: string; readonly ratio: number }[]> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const cases = [...(await generatedCases()), ...handwrittenCases()];
  const ratios = cases.map((each) => {
    const { bytes, elements } = held(each, collect);
    return { name: each.name, ratio: bytes / Math.max(each.frame.length, elements * BYTES_PER_ELEMENT_MIN) };
  });
  return ratios.toSorted((a, b) => b.ratio - a.ratio);
}

function held({ frame, decode }: Case, collect: () => void): { bytes: number; elements: number } {
  decode(new Reader(frame, 0, frame.length)); // compiled, and its shapes known
  collect();
  const before = process.memoryUsage().heapUsed;
  const values = Array.from({ length: TIMES }, () => decode(new Reader(frame, 0, frame.length)));
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / TIMES;
  return { bytes, elements: elementsOf(values[0]) };
}

function elementsOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return 0;
  if (!Array.isArray(value)) return Object.values(value).reduce((sum: number, part) => sum + elementsOf(part), 0);
  return value.reduce((sum: number, part) => sum + (typeof part === 'object' ? 1 : 0) + elementsOf(part), 0);
}

async function generatedCases(): Promise<Case[]> {
  const apis = await generatedApis();
  return apis.flatMap((api) => {
    const decode = (reader: Reader): unknown => api.readResponse(reader, api.maxVersion);
    const frame = inventFrame(decode, createRandom(1), { shape: 'dense', bytesMax: FRAME_BYTES });
    return frame.length < FRAME_BYTES / 2 ? [] : [{ name: api.name, frame, decode }];
  });
}

function handwrittenCases(): Case[] {
  const fetched = Array.from({ length: FRAME_BYTES / 40 }, () => ({ topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 0 }));
  const produced = Array.from({ length: FRAME_BYTES / 33 }, () => ({ topic: '', partition: 0 }));
  return [
    { name: 'Fetch', frame: fetchBody({ partitions: fetched }), decode: decodeFetch },
    { name: 'Produce', frame: produceBody(produced), decode: decodeProduce },
  ];
}
