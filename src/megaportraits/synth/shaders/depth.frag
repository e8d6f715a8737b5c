#version 330
// Depth only, for shadows and ambient occlusion; cut-out materials by their alpha.
uniform sampler2D colors;
uniform bool cut_out;
in vec2 uv;
out vec4 result;

void main() {
    if (cut_out && texture(colors, clamp(uv, 0.0, 1.0)).a < 0.5) discard;
    result = vec4(1.0);
}
