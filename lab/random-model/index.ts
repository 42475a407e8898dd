export { type ModelFile, readFile } from './model-file.ts';
export { type RandomModel, type RandomModelOptions, randomModel } from './random-model.ts';
export { type HubEnvironment, serveRandomModel } from './serve.ts';
export { type ModelShape, type RandomDtype, SHAPES, type ShapeName } from './shapes.ts';
