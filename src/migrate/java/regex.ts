/**
 * Java's regular expressions (java.util.regex.Pattern, no flags) as RE2 ones that match the same names as a whole. What
 * RE2 cannot say (look-around, backreferences, possessive quantifiers, intersections of classes) is a problem that is
 * named, and so is what Java itself would refuse: nothing is guessed.
 *
 * A look-ahead that stands first and denies, `(?!…)`, is taken apart: it says what a name must not begin with.
 */

export interface Alternative {
  /** Matches, as a whole, what the alternative of the Java expression matches as a whole. */
  readonly re2: string;
  /** The one name that it matches; null where it is not just a text. */
  readonly literal: string | null;
  /** RE2 expressions that no beginning of the name may match. */
  readonly notAtStart: readonly string[];
}

/**
 * The alternatives of the whole expression. Where a flag (`(?i)`) holds on beyond its alternative they stay together as
 * one.
 */
export function translateJavaRegex(
  pattern: string,
): { readonly value: readonly Alternative[] } | { readonly problem: string } {
  const reader = new Reader(pattern);
  try {
    return { value: reader.alternatives() };
  } catch (error) {
    if (error instanceof NotTranslated) return { problem: error.message };
    throw error;
  }
}

/** Why an expression has no equal; caught above, and nowhere else. */
class NotTranslated extends Error {}

interface Piece {
  readonly re2: string;
  /** The text that it stands for, where it stands for one. */
  readonly text: string | null;
  readonly kind: 'text' | 'anchor-start' | 'anchor-end' | 'other';
}

const other = (re2: string): Piece => ({ re2, text: null, kind: 'other' });

/** Nesting that a person writes. */
const DEPTH_MAX = 100;

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #hasLeakingFlag = false;
  #isMultiline = false;
  #ignoresCase = false;
  #hasProperty = false;
  /** So far. */
  #anchors = 0;
  readonly #notAtStart: string[][] = [];

  constructor(text: string) {
    this.#text = text;
  }

  alternatives(): Alternative[] {
    const branches = this.#branches();
    if (this.#at < this.#text.length) throw new NotTranslated('a ")" has no "(", so Java refuses it');
    // Which letters "\p{Lu}" has without regard to case, Java's versions do not agree about.
    if (this.#ignoresCase && this.#hasProperty) throw new NotTranslated('"(?i)" beside "\\p" has no equal in RE2');
    if (this.#hasLeakingFlag && branches.length > 1) {
      if (this.#notAtStart.some((each) => each.length > 0)) throw lookAround();
      return [{ re2: `(?:${branches.map(textOf).join('|')})`, literal: null, notAtStart: [] }];
    }
    return branches.map((pieces, index) => this.#alternative(pieces, this.#notAtStart[index] ?? []));
  }

  /** A whole name is matched anyway, so anchors at the ends say nothing. */
  #alternative(pieces: readonly Piece[], notAtStart: readonly string[]): Alternative {
    const first = pieces.findIndex(({ kind }) => kind !== 'anchor-start');
    const last = pieces.findLastIndex(({ kind }) => kind !== 'anchor-end');
    const inner = this.#isMultiline ? pieces : first < 0 ? [] : pieces.slice(first, last + 1);
    const isText = inner.every(({ kind }) => kind === 'text') && notAtStart.length === 0;
    return { re2: textOf(inner), literal: isText ? inner.map(({ text }) => text ?? '').join('') : null, notAtStart };
  }

  #branches(): Piece[][] {
    if (++this.#depth > DEPTH_MAX) throw new NotTranslated(`it is nested more than ${DEPTH_MAX} deep`);
    const isTop = this.#depth === 1;
    const branches: Piece[][] = [[]];
    if (isTop) this.#notAtStart.push([]);
    while (this.#at < this.#text.length && this.#peek() !== ')') {
      if (this.#take('|')) {
        branches.push([]);
        if (isTop) this.#notAtStart.push([]);
        continue;
      }
      const branch = branches.at(-1) ?? [];
      const isFirst = branch.every(({ kind }) => kind === 'anchor-start');
      if (isTop && isFirst && this.#take('(?!')) {
        this.#notAtStart.at(-1)?.push(this.#groupRest('(?:').re2);
        continue;
      }
      const anchorsBefore = this.#anchors;
      const atom = this.#atom();
      for (const piece of atom) branch.push(piece);
      const quantifier = this.#quantifier();
      // Java does not try every way to divide a name among repetitions of which one may be empty (Pattern.Loop).
      if (quantifier !== '' && this.#anchors > anchorsBefore)
        throw new NotTranslated('what is repeated has "^", "$" or "\\b" in it, which RE2 takes otherwise');
      const quantified = branch.at(-1);
      if (quantifier !== '' && quantified) branch[branch.length - 1] = other(`${quantified.re2}${quantifier}`);
    }
    this.#depth--;
    return branches;
  }

  /** Several pieces only of a quotation, of which a quantifier concerns the last. */
  #atom(): Piece[] {
    const sign = this.#next();
    if (sign === '\\') return this.#escape();
    if (sign === '[') return [other(this.#charClass())];
    if (sign === '(') return [this.#group()];
    if (sign === '^' || sign === '$') this.#anchors++;
    if (sign === '^') return [{ re2: '^', text: null, kind: 'anchor-start' }];
    if (sign === '$') return [{ re2: '$', text: null, kind: 'anchor-end' }];
    if (sign === '.') return [other('.')];
    if (/[*+?{]/.test(sign)) throw new NotTranslated(`"${sign}" has nothing before it to repeat, so Java refuses it`);
    return [literal(sign)];
  }

  #quantifier(): string {
    const found = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(this.#rest())?.[0] ?? '';
    if (found === '') {
      if (this.#peek() === '{') throw new NotTranslated('a "{" is no count, so Java refuses it');
      return '';
    }
    this.#at += found.length;
    if (this.#take('+')) throw new NotTranslated(`the possessive quantifier "${found}+" does not exist in RE2`);
    return `${found}${this.#take('?') ? '?' : ''}`;
  }

  #group(): Piece {
    if (!this.#take('?')) return this.#groupRest('(');
    if (this.#take(':')) return this.#groupRest('(?:');
    if (/^(?:[=!>]|<[=!])/.test(this.#rest())) throw lookAround();
    if (this.#take('<')) {
      const name = /^[a-zA-Z][a-zA-Z0-9]*>/.exec(this.#rest())?.[0];
      if (name === undefined) throw new NotTranslated('a group has no proper name, so Java refuses it');
      this.#at += name.length;
      return this.#groupRest('(?:');
    }
    const flags = /^[a-zA-Z]*(?:-[a-zA-Z]*)?/.exec(this.#rest())?.[0] ?? '';
    this.#at += flags.length;
    if (!/^[ims]*(?:-[ims]*)?$/.test(flags)) throw new NotTranslated(`the flags "(?${flags})" do not exist in RE2`);
    if (flags.includes('m')) this.#isMultiline = true;
    if (/^[^-]*i/.test(flags)) this.#ignoresCase = true;
    const end = this.#next();
    if (end === ':') return this.#groupRest(flags === '' ? '(?:' : `(?${flags}:`);
    if (end !== ')' || flags === '' || flags === '-') throw new NotTranslated('"(?" begins nothing that Java knows');
    if (this.#depth === 1) this.#hasLeakingFlag = true;
    if (/^[*+?{]/.test(this.#rest()))
      throw new NotTranslated(`what follows "(?${flags})" repeats nothing: Java refuses it`);
    return other(`(?${flags})`);
  }

  #groupRest(open: string): Piece {
    const branches = this.#branches();
    if (!this.#take(')')) throw new NotTranslated('a "(" is not closed, so Java refuses it');
    return other(`${open}${branches.map(textOf).join('|')})`);
  }

  #escape(): Piece[] {
    const sign = this.#next();
    if (sign === '') throw new NotTranslated('it ends with a backslash, so Java refuses it');
    if (sign === 'Q') return this.#quotation();
    if (/[AzZbB]/.test(sign)) this.#anchors++;
    if (sign === 'A') return [{ re2: '\\A', text: null, kind: 'anchor-start' }];
    // Before a last line break, too, stands \Z; names have none.
    if (sign === 'z' || sign === 'Z') return [{ re2: '\\z', text: null, kind: 'anchor-end' }];
    if (sign === 'b' || sign === 'B') return [other(`\\${sign}`)];
    const set = this.#escapedSet(sign);
    if (set !== null) return [other(/^\\[dDwWpP](?:\{.*\})?$/.test(set) ? set : `[${set}]`)];
    return [literal(this.#escapedSign(sign))];
  }

  #quotation(): Piece[] {
    const end = this.#text.indexOf('\\E', this.#at);
    const quoted = this.#text.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#text.length : end + 2;
    return Array.from(quoted, literal);
  }

  /** `\d` and the like as they stand alone, or as the inside of a class; null where `sign` stands for one character. */
  #escapedSet(sign: string): string | null {
    if (/[dDwW]/.test(sign)) return `\\${sign}`;
    if (sign === 's') return '\\s\\x0b'; // RE2's \s lacks the vertical tab
    if (sign === 'S') return '^\\s\\x0b';
    if (sign !== 'p' && sign !== 'P') return null;
    const name = /^(?:\{([^}]*)\}|(.))/.exec(this.#rest());
    if (!name) throw new NotTranslated('"\\p" names no property, so Java refuses it');
    this.#at += name[0].length;
    this.#hasProperty = true;
    return property(name[1] ?? name[2] ?? '', sign === 'P');
  }

  #escapedSign(sign: string): string {
    if (/[1-9k]/.test(sign)) throw new NotTranslated(`the backreference "\\${sign}" does not exist in RE2`);
    const rest = this.#rest();
    if (sign === '0') return this.#coded(/^(?:[0-3]?[0-7]{1,2})/.exec(rest), 8);
    if (sign === 'x') return this.#coded(/^(?:\{([0-9a-fA-F]{1,6})\}|[0-9a-fA-F]{2})/.exec(rest), 16);
    if (sign === 'u') return this.#coded(/^[0-9a-fA-F]{4}/.exec(rest), 16);
    if (sign === 'c') return String.fromCharCode((this.#next().charCodeAt(0) || 0) ^ 64);
    const control = CONTROLS[sign];
    if (control !== undefined) return control;
    if (/[a-zA-Z]/.test(sign)) throw new NotTranslated(`"\\${sign}" has no equal in RE2`);
    return sign;
  }

  #coded(found: RegExpExecArray | null, radix: number): string {
    const code = found === null ? Number.NaN : Number.parseInt(found[1] ?? found[0], radix);
    if (found === null || !(code <= 0x10ffff)) throw new NotTranslated('a coded character has no proper number');
    this.#at += found[0].length;
    return String.fromCodePoint(code);
  }

  #charClass(): string {
    const isNegated = this.#take('^');
    let inner = '';
    let isFirst = true;
    for (; ; isFirst = false) {
      if (this.#at >= this.#text.length) throw new NotTranslated('a "[" is not closed, so Java refuses it');
      if (this.#peek() === ']' && !isFirst) break;
      if (this.#rest().startsWith('&&'))
        throw new NotTranslated('the intersection "&&" of classes does not exist in RE2');
      if (this.#peek() === '[') throw new NotTranslated('a class within a class does not exist in RE2');
      inner += this.#classItem();
    }
    this.#at++;
    return `[${isNegated ? '^' : ''}${inner}]`;
  }

  /** A character, a range, a quotation or a set such as `\d`. */
  #classItem(): string {
    const sign = this.#next();
    if (sign === '\\' && this.#take('Q'))
      return this.#quotation()
        .map(({ text }) => inClass(text ?? ''))
        .join('');
    const from = sign === '\\' ? this.#classEscape() : sign;
    if (typeof from !== 'string') return from.set;
    const next = this.#text[this.#at + 1];
    if (this.#peek() !== '-' || next === undefined || next === ']' || next === '[') return inClass(from);
    this.#at++;
    const end = this.#next();
    const to = end === '\\' ? this.#classEscape() : end;
    if (typeof to !== 'string' || to < from) throw new NotTranslated('a range in a class has no proper end');
    return `${inClass(from)}-${inClass(to)}`;
  }

  #classEscape(): string | { readonly set: string } {
    const sign = this.#next();
    if (sign === '') throw new NotTranslated('a "[" is not closed, so Java refuses it');
    const set = this.#escapedSet(sign);
    if (set === null) return this.#escapedSign(sign);
    if (set.startsWith('^')) throw new NotTranslated('"\\S" within a class has no equal in RE2');
    return { set };
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #rest(): string {
    return this.#text.slice(this.#at);
  }

  /** '' at the end. A character outside the basic plane is one. */
  #next(): string {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) return '';
    const sign = String.fromCodePoint(code);
    this.#at += sign.length;
    return sign;
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
}

const CONTROLS: Readonly<Record<string, string>> = {
  t: '\t',
  n: '\n',
  r: '\r',
  f: '\f',
  a: '\u0007',
  e: '\u001b',
};

/** Java's POSIX classes are of ASCII, as RE2's are. */
const POSIX = /^(?:Lower|Upper|ASCII|Alpha|Digit|Alnum|Punct|Graph|Print|Blank|Cntrl|XDigit|Space)$/;
const CATEGORY = /^(?:Is)?([LMNPSZC][a-z]?)$/;

function property(name: string, isNegated: boolean): string {
  if (POSIX.test(name)) return `[${isNegated ? ':^' : ':'}${name.toLowerCase()}:]`;
  const category = CATEGORY.exec(name)?.[1];
  if (category === undefined) throw new NotTranslated(`the property "${name}" has no equal in RE2`);
  return `\\${isNegated ? 'P' : 'p'}{${category}}`;
}

function lookAround(): NotTranslated {
  return new NotTranslated('look-around does not exist in RE2');
}

function literal(text: string): Piece {
  return { re2: outside(text), text, kind: 'text' };
}

function outside(sign: string): string {
  return /[\\.+*?()|[\]{}^$]/.test(sign) ? `\\${sign}` : visible(sign);
}

function inClass(sign: string): string {
  return /[\\\]^[-]/.test(sign) ? `\\${sign}` : visible(sign);
}

/** What no person should have to see in a file is written as its number. */
function visible(sign: string): string {
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(sign) ? `\\x{${(sign.codePointAt(0) ?? 0).toString(16)}}` : sign;
}

function textOf(pieces: readonly Piece[]): string {
  return pieces.map(({ re2 }) => re2).join('');
}
