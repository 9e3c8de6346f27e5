/** The preload of planted-bug.ts: changes the text of one module as it is loaded, and leaves a mark that it has. */
import { writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { must } from '#util/assert.ts';

const planted = must(new URL(import.meta.url).searchParams.get('bug'), 'bug in the address of the preload');
const { file, find, replace, mark } = JSON.parse(planted) as {
  file: string;
  find: string;
  replace: string;
  mark: string;
};
const spoiledUrl = pathToFileURL(resolve(import.meta.dirname, '../..', file)).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url !== spoiledUrl) return loaded;
    const { source } = loaded;
    if (!source) throw new Error(`${file} was loaded without its text`);
    const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString();
    const parts = text.split(find);
    if (parts.length !== 2)
      throw new Error(`the planted bug fits ${parts.length - 1} places of ${file}, not one: ${find}`);
    writeFileSync(mark, '');
    return { ...loaded, source: parts.join(replace) };
  },
});
