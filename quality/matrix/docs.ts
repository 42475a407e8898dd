// Writes the table of docs/models.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { fillMarkers } from '../report/tables.ts';
import { parseMatrix } from './results.ts';
import { modelsTable, settings } from './table.ts';

const DOC = 'docs/models.md';

/** The document with the table that results give. */
export function filledModels(json: string): string {
  const results = parseMatrix(json);
  return fillMarkers(readFileSync(DOC, 'utf8'), {
    models: modelsTable(results.models),
    settings: settings(results),
  });
}

/** Writes the document from a file of results. */
export const writeModels = (path: string): void =>
  writeFileSync(DOC, filledModels(readFileSync(path, 'utf8')));
