/** Every API whose codec is generated, and the response frames of Kafka's own encoders for them (golden-frames.jsonl). */
import { readdirSync, readFileSync } from 'node:fs';
import type { Api } from '#kafka/api.ts';
import { must } from '#util/assert.ts';

const directory = new URL('../kafka/protocol/', import.meta.url);

export interface GoldenResponse {
  readonly api: Api<never, unknown>;
  readonly version: number;
  /** The body, behind the response header. */
  readonly bytes: Buffer;
}

/** Found in the folder, so that a codec that is generated later is among them. */
export async function generatedApis(): Promise<Api<never, unknown>[]> {
  const files = readdirSync(directory).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  const modules = await Promise.all(files.map((name) => import(new URL(name, directory).href) as Promise<object>));
  return modules.flatMap((exported) => Object.values(exported).filter(isApi));
}

export async function goldenResponses(): Promise<GoldenResponse[]> {
  const apis = new Map((await generatedApis()).map((api) => [api.name, api]));
  const lines = readFileSync(new URL('golden-frames.jsonl', directory), 'utf8').trim().split('\n');
  return lines.flatMap((line) => {
    const [name, version, direction, , , hex] = JSON.parse(line) as [string, number, string, string, unknown, string];
    if (direction !== 'response') return [];
    return [{ api: must(apis.get(name), `codec of ${name}`), version, bytes: Buffer.from(hex, 'hex') }];
  });
}

function isApi(value: unknown): value is Api<never, unknown> {
  return typeof value === 'object' && value !== null && 'readResponse' in value;
}
