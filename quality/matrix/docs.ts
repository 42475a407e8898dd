// Writes the tables of docs/models.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fillMarkers } from '../report/tables.ts';
import { parseMatrix } from './results.ts';
import { modelsTable, settings } from './table.ts';

const DOC = 'docs/models.md';

/**
 * The document with the table and the settings that a file of results gives, at the markers with the file's name: those of
 * `models-h200.json` stand at `models-h200` and `models-h200-settings`.
 *
 * @throws Error if the document has no such markers
 */
export function filledModels(path: string): string {
  const results = parseMatrix(readFileSync(path, 'utf8'));
  const document = readFileSync(DOC, 'utf8');
  const name = basename(path, '.json');
  const tables = { [name]: modelsTable(results.models), [`${name}-settings`]: settings(results) };
  for (const marker of Object.keys(tables))
    if (!document.includes(`<!-- table:${marker} -->`)) throw new Error(`${DOC} has no marker "${marker}".`);
  return fillMarkers(document, tables);
}

/** Writes the document from a file of results. */
export const writeModels = (path: string): void => writeFileSync(DOC, filledModels(path));
