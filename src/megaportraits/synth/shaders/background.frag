#version 330
uniform sampler2D colors;
in vec2 uv;
out vec4 result;

void main() { result = vec4(texture(colors, uv).rgb, 0.0); }
